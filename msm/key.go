package msm

import "fmt"

// Key is an attribute with a name and a type. Make it with NewKey, once, as a
// package variable; it is immutable.
type Key[T any] struct{ name string }

// NewKey returns the Key of an attribute. Names have 1 to 64 bytes.
func NewKey[T any](name string) Key[T] { return Key[T]{name} }

// Get returns the attribute, and whether there is one. ErrDecode if it cannot be
// read as a T.
func (k Key[T]) Get(s *Session) (value T, ok bool, err error) {
	ok, err = s.Get(k.name, &value)
	return value, ok, err
}

// Set gives the attribute a value: see Session.Set.
func (k Key[T]) Set(s *Session, value T) error { return s.Set(k.name, value) }

// Delete removes the attribute: see Session.Delete.
func (k Key[T]) Delete(s *Session) error { return s.Delete(k.name) }

// Update gives the attribute the value that f makes of the old one; ok says
// whether there is one. Should another request have changed the attribute when
// this one is stored, f runs again, on that value: nothing is lost, and
// counters count right. So f may run several times, from other goroutines, and
// after the handler has returned; it must depend on nothing but its arguments,
// and not use the session. To see the value that was stored in the end: Save,
// then Get.
//
// An error of f ends the Update, or, when f runs again, the storing of the
// request's changes; so does a panic, which is an error then.
func (k Key[T]) Update(s *Session, f func(old T, ok bool) (T, error)) error {
	if s.refusal != nil {
		return s.refusal
	}
	c := s.core
	return s.update(k.name, func(old attr, ok bool) (attr, error) {
		var value T
		if ok {
			if err := c.decode(old, &value); err != nil {
				return attr{}, err
			}
		}
		value, err := f(value, ok)
		if err != nil {
			return attr{}, err
		}
		return c.encode(k.name, value)
	})
}

// again is f for when it runs again: on behalf of other requests, or in the
// background, which a panic must not take down with it.
func (f update) again(name string) update {
	return func(old attr, ok bool) (value attr, err error) {
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("msm: the function of an Update of %q panicked when it ran again, on a value that another request has stored: %v", name, p)
			}
		}()
		return f(old, ok)
	}
}
