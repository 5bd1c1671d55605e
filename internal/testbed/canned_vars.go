package testbed

import (
	"errors"
	"fmt"
	"maps"
	"sync"
)

// cannedVars is vars.set: pmilter/vars of the sessions that begin afterwards.
type cannedVars struct {
	mu   sync.Mutex
	vars map[string]any
}

var _ canned = (*cannedVars)(nil)

func newCannedVars(configured map[string]any) *cannedVars {
	return &cannedVars{vars: configured}
}

// answer is vars.set(name, value) or vars.set({name: value}).
func (c *cannedVars) answer(function string, args []any) error {
	if function != "set" {
		return noFunction(function)
	}
	values := map[string]any{}
	switch name := first(args).(type) {
	case string:
		if len(args) != 2 {
			return errors.New("it takes a name and a value, or an object")
		}
		values[name] = args[1]
	case map[string]any:
		values = name
	default:
		return errors.New("it takes a name and a value, or an object")
	}
	for name, value := range values {
		if err := settable(value); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	changed := maps.Clone(c.vars) // sessions that have begun keep the old ones
	if changed == nil {
		changed = map[string]any{}
	}
	maps.Copy(changed, values)
	c.vars = changed
	return nil
}

// settable refuses what a configuration cannot hold.
func settable(value any) error {
	switch v := value.(type) {
	case string, bool, int64, float64, nil:
		return nil
	case []any:
		for _, item := range v {
			if err := settable(item); err != nil {
				return err
			}
		}
		return nil
	case map[string]any:
		for _, item := range v {
			if err := settable(item); err != nil {
				return err
			}
		}
		return nil
	}
	return errors.New("a variable is a string, a number, true or false, a list or a table of these")
}

// current is the variables as they are now. The map must not be changed.
func (c *cannedVars) current() map[string]any {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.vars
}

func first(args []any) any {
	if len(args) == 0 {
		return nil
	}
	return args[0]
}
