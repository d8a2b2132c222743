package mutation

// ends has jobs end twice, untold, or as what they did not end as.
func ends() []Mutation {
	return in(
		"jobs/complete.go", "^(TestRouteOfAnEnd|TestComplete|TestCompleteInsists|TestCompleteRun|TestFinishPending|TestConclude|TestParseVerdicts)$",
		[3]string{"routeOf", `r == recordKnows || `, ``},
		[3]string{"routeOf", `|| s != StateCompleted`, ``},
		[3]string{"routeOf", `|| !pushable`, ``},
		[3]string{"routeOf", `case removes:`, `case !removes:`},
		[3]string{"routeOf", `case r == noRecord:`, `case r == recordUnaware:`},
		[3]string{"routeOf", `return routeTask`, `return routeRun`},
		[3]string{"complete", `if e.retry != nil {`, `if e.retry == nil {`},
		[3]string{"complete", `err != nil || end.decision != endStored`, `end.decision != endStored`},
		[3]string{"complete", `err != nil || end.decision != endStored`, `err != nil`},
		[3]string{"complete", `len(end.dests) == 0 && end.follow == ""`, `len(end.dests) == 0 || end.follow == ""`},
		[3]string{"complete", `if e.event == nil {`, `if e.event != nil {`},
		[3]string{"complete", `= end.state, e.code, e.err`, `= e.state, e.code, e.err`},
		[3]string{"complete", `if end.state != e.state {`, `if end.state == e.state {`},
		[3]string{"complete", `codeCancelled, "cancelled", nil`, `codeCancelled, "cancelled", result`},
		[3]string{"finish", `State(r.str(1))`, `e.state`},
		[3]string{"finish", `r.dests(3)`, `r.dests(4)`},
		[3]string{"push", `if m.Action == "" {`, `if m.Action != "" {`},
		[3]string{"push", `Final: true`, `Final: false`},
		[3]string{"push", `Replaces: e.replaces(), `, ``},
		[3]string{"pushable", `within || !anyBound`, `within && !anyBound`},
		[3]string{"pushable", `within || !anyBound`, `within || anyBound`},
		[3]string{"notWithin", `errors.Is(err, script.ErrApart) || `, ``},
		[3]string{"notWithin", `|| errors.Is(err, push.ErrMailboxFull)`, ``},
		[3]string{"notWithin", `|| hopeless(err)`, ``},
		[3]string{"completeRun", `r.num(0) == 1, r.num(1) == 1`, `r.num(0) == 1, r.num(0) == 1`},
		[3]string{"completeRun", `r.num(0) == 1, r.num(1) == 1`, `true, r.num(1) == 1`},
		[3]string{"completeRun", `if done.stored || notWithin(err) {`, `if notWithin(err) {`},
		[3]string{"completeRun", `if done.stored || notWithin(err) {`, `if done.stored {`},
		[3]string{"runComplete", `x.record == noRecord`, `x.record != noRecord`},
		[3]string{"runComplete", `len(remove.Keys) > 0`, `len(remove.Keys) == 0`},
		[3]string{"runComplete", `c.job(x.id), remove.Keys, s.Keys`, `c.job(x.id), s.Keys, remove.Keys`},
	)
}
