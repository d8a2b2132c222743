package lastmile

// TaskNames are those of what Run runs besides the server, the lowest layer first.
func (a *App) TaskNames() []string {
	base, front, work := a.tasks()
	var names []string
	for _, t := range append(append(base, front...), work...) {
		names = append(names, t.Name)
	}
	return names
}
