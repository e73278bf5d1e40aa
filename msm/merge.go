package msm

import (
	"bytes"
	"cmp"
	"slices"
	"time"
)

// changes is what was done to a session and is not stored yet. The zero value
// is no change. It names only what was touched: merged into whatever version of
// the session is the newest when it is stored, it leaves alone what others
// changed meanwhile.
type changes struct {
	attrs       map[string]change
	maxInactive *time.Duration // nil: as it was
}

// change is what was done to one attribute: it was set, removed, or computed
// from what it was before.
type change struct {
	value attr // what it is afterwards
	gone  bool // it was removed; value is meaningless

	// An attribute that was computed from a value in the session has updates,
	// in their order, and that value: another one makes them run again.
	updates []update
	before  attr
	absent  bool // there was no value before
}

// update computes an attribute from what it was; ok says whether it was there.
type update func(old attr, ok bool) (attr, error)

func (ch *changes) empty() bool { return len(ch.attrs) == 0 && ch.maxInactive == nil }

func (ch *changes) put(name string, c change) {
	if ch.attrs == nil {
		ch.attrs = make(map[string]change)
	}
	ch.attrs[name] = c
}

// set gives an attribute a value.
func (ch *changes) set(a attr) { ch.put(a.name, change{value: a}) }

// remove takes an attribute away.
func (ch *changes) remove(name string) { ch.put(name, change{gone: true}) }

// compute gives an attribute the value that f has made of old, which was the
// attribute with ch; ok says whether there was one.
func (ch *changes) compute(old attr, ok bool, value attr, f update) {
	c, touched := ch.attrs[value.name]
	if !touched {
		c = change{before: old, absent: !ok}
	}
	if !touched || len(c.updates) > 0 {
		c.updates = append(slices.Clip(c.updates), f)
	}
	c.value, c.gone = value, false
	ch.put(value.name, c)
}

// merge returns theirs with ch made to it; theirs stays as it is. Of what both
// touched, ch wins, but for attributes that ch computed from another value than
// theirs: their updates run again. The error is that of an update.
func (ch *changes) merge(theirs []attr) ([]attr, error) {
	if len(ch.attrs) == 0 {
		return theirs, nil
	}
	merged := make([]attr, 0, len(theirs)+len(ch.attrs))
	for _, a := range theirs {
		if _, ok := ch.attrs[a.name]; !ok {
			merged = append(merged, a)
		}
	}
	for name, c := range ch.attrs {
		if c.gone {
			continue
		}
		old, ok := find(theirs, name)
		value, err := c.on(old, ok)
		if err != nil {
			return nil, err
		}
		merged = append(merged, value)
	}
	slices.SortFunc(merged, func(a, b attr) int { return cmp.Compare(a.name, b.name) })
	return merged, nil
}

// on is the attribute's value after the change, where it was old before.
func (c *change) on(old attr, ok bool) (attr, error) {
	if len(c.updates) == 0 || ok == !c.absent && (!ok || sameValue(old, c.before)) {
		return c.value, nil
	}
	for _, f := range c.updates {
		var err error
		if old, err = f(old, ok); err != nil {
			return attr{}, err
		}
		ok = true
	}
	return old, nil
}

// find looks an attribute up by name.
func find(attrs []attr, name string) (attr, bool) {
	i, ok := slices.BinarySearchFunc(attrs, name, func(a attr, name string) int { return cmp.Compare(a.name, name) })
	if !ok {
		return attr{}, false
	}
	return attrs[i], true
}

func sameValue(a, b attr) bool { return a.codec == b.codec && bytes.Equal(a.data, b.data) }

// follow makes ch do what other has done besides, with that result.
func (ch *changes) follow(other *changes, result *record) {
	for name := range other.attrs {
		if a, ok := find(result.attrs, name); ok {
			ch.set(a)
		} else {
			ch.remove(name)
		}
	}
	ch.maxInactive = cmp.Or(other.maxInactive, ch.maxInactive)
}
