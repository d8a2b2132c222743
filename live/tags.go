package live

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"lastmile/live/internal/engine"
)

const (
	// attrPrefix begins the names of the attributes that the client reads.
	attrPrefix = "live-"
	// attrValue begins those that go along as data.
	attrValue = "live-value-"
)

// checkTags finds what an author has misspelt: attributes that the client does
// not know, and actions that the controller lacks. Values that a pipeline makes
// are known only when they arrive.
func (p *page) checkTags() error {
	var faults []error
	elsewhere := false // a form may be another view's
	p.set.EachTag(func(t engine.Tag) {
		elsewhere = elsewhere || slices.ContainsFunc(t.Attrs, func(a engine.TagAttr) bool {
			return (a.Name == "action" && t.Name == "form" || a.Name == "formaction") && (a.Dynamic || a.Value != "")
		})
	})
	p.set.EachTag(func(t engine.Tag) {
		for _, a := range t.Attrs {
			if a.Name == "name" && elsewhere {
				continue
			}
			if err := p.checkAttribute(t, a); err != nil {
				faults = append(faults, fmt.Errorf("template %s: <%s>: %w", t.Where, t.Name, err))
			}
		}
	})
	return errors.Join(faults...)
}

func (p *page) checkAttribute(t engine.Tag, a engine.TagAttr) error {
	switch a.Name {
	case "live-click", "live-input", "live-change":
		return p.checkAction(a)
	case "live-debounce":
		if ms, err := strconv.ParseFloat(a.Value, 64); !a.Dynamic && (err != nil || ms < 0) {
			return fmt.Errorf("live-debounce=%q: want milliseconds", a.Value)
		}
	case "live-recover":
		if !a.Dynamic && a.Value != "no" {
			return fmt.Errorf("live-recover=%q: want no", a.Value)
		}
	case "live-hook":
		if !a.Dynamic && a.Value == "" {
			return errors.New("live-hook names no hook")
		}
	case "live-disable":
		if a.Dynamic || a.Value != "" {
			return errors.New("live-disable has no value: style .live-pending to say what happens")
		}
		p.disables = true
	case "live-reset", "live-force", "live-ignore":
	case "name":
		if a.Value == fieldAction && !a.Dynamic {
			return p.checkSubmission(t)
		}
	default:
		if strings.HasPrefix(a.Name, attrPrefix) && !strings.HasPrefix(a.Name, attrValue) {
			return fmt.Errorf("no attribute is called %s: there are live-change, live-click, live-debounce, live-disable, live-force, "+
				"live-hook, live-ignore, live-input, live-recover, live-reset and live-value-*", a.Name)
		}
	}
	return nil
}

// checkSubmission checks the button or hidden field that says what a form calls.
func (p *page) checkSubmission(t engine.Tag) error {
	for _, a := range t.Attrs {
		if a.Name == "value" {
			a.Name = fieldAction
			return p.checkAction(a)
		}
	}
	return nil // an attribute that comes and goes, or a field that somebody fills
}

func (p *page) checkAction(a engine.TagAttr) error {
	switch {
	case a.Dynamic:
		return nil
	case p.pushOnly[a.Value]:
		return fmt.Errorf("%s=%q: the action is PushOnly, so pages may not call it", a.Name, a.Value)
	case p.model.actions[a.Value] == nil:
		return fmt.Errorf("%s=%q: the controller has no such action; it has %s", a.Name, a.Value,
			strings.Join(slices.Sorted(maps.Keys(p.model.actions)), ", "))
	}
	return nil
}
