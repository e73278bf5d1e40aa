package msm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// ledger stands for memcached in tests of convoys: it takes a moment for every
// group of batches, which it notes, and refuses some.
type ledger struct {
	t       *testing.T
	refuses func(group []string) (bad string, err error) // bad: the one whose fault it is

	mu     sync.Mutex // guards what follows
	names  map[*batch]string
	newest stamp
	groups []string // what was asked for, in its order
}

const storing = 10 * time.Millisecond

func (l *ledger) settle(ctx context.Context, v *version, batches []*batch) error {
	l.mu.Lock()
	var names []string
	for _, b := range batches {
		names = append(names, l.names[b])
	}
	l.groups = append(l.groups, strings.Join(names, " "))
	if v.stamp != l.newest {
		l.t.Errorf("%v is to be stored on top of %d, want %d, the newest", names, v.stamp, l.newest)
	}
	l.mu.Unlock()
	if err := sleep(ctx, storing); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if bad, err := l.refuses(names); bad != "" {
		return &batchError{batches[slices.Index(names, bad)], err}
	} else if err != nil {
		return err
	}
	v.stamp = v.stamp.next()
	l.newest = v.stamp
	return nil
}

// commit is that of a request that has read what was there at the beginning.
func (l *ledger) commit(ctx context.Context, convoys *convoys, name string) (*version, error) {
	b := new(batch)
	l.mu.Lock()
	l.names[b] = name
	l.mu.Unlock()
	return convoys.commit(ctx, &version{base: "session"}, b, l.settle)
}

var errRefused = errors.New("refused")

// numbers are the names of commits, from the one to before the other.
func numbers(from, to int) string {
	var s []string
	for i := from; i < to; i++ {
		s = append(s, fmt.Sprint(i))
	}
	return strings.Join(s, " ")
}

// convoyCases are commits of one session, and how they are stored.
var convoyCases = []struct {
	name    string
	commits int // the first one comes alone, the others while it is stored
	refuses func(group []string) (string, error)
	groups  []string
	failed  string // those whose commit fails
}{
	{"one alone", 1, nil, []string{"0"}, ""},
	{"one behind another", 2, nil, []string{"0", "1"}, ""},
	{"those who wait are stored together, in their order", 4, nil, []string{"0", "1 2 3"}, ""},
	{"as many as the record remembers", 2*maxGroup + 2, nil,
		[]string{"0", numbers(1, maxGroup+1), numbers(maxGroup+1, 2*maxGroup+1), numbers(2*maxGroup+1, 2*maxGroup+2)}, ""},
	{"one that cannot be stored is left out", 4,
		func(group []string) (string, error) {
			if slices.Contains(group, "2") {
				return "2", errRefused
			}
			return "", nil
		},
		[]string{"0", "1 2 3", "1 3"}, "2"},
	{"two that cannot be stored", 5,
		func(group []string) (string, error) {
			for _, bad := range []string{"4", "2"} {
				if slices.Contains(group, bad) {
					return bad, errRefused
				}
			}
			return "", nil
		},
		[]string{"0", "1 2 3 4", "1 2 3", "1 3"}, "2 4"},
	{"the one that stores cannot be stored itself", 4,
		func(group []string) (string, error) {
			if group[0] == "1" {
				return "1", errRefused
			}
			return "", nil
		},
		[]string{"0", "1 2 3", "1", "2 3"}, "1"},
	{"the group is refused: each for itself", 3,
		func(group []string) (string, error) {
			if len(group) > 1 {
				return "", errRefused
			}
			return "", nil
		},
		[]string{"0", "1 2", "1", "2"}, ""},
	{"all is refused", 3,
		func([]string) (string, error) { return "", errRefused },
		[]string{"0", "1 2", "1", "2"}, "0 1 2"},
}

func TestConvoy(t *testing.T) {
	for _, tc := range convoyCases {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, convoys := &ledger{t: t, refuses: tc.refuses, names: make(map[*batch]string)}, newConvoys()
				if l.refuses == nil {
					l.refuses = func([]string) (string, error) { return "", nil }
				}
				errs, versions := make([]error, tc.commits), make([]*version, tc.commits)
				var group sync.WaitGroup
				for i := range tc.commits {
					group.Go(func() { versions[i], errs[i] = l.commit(t.Context(), convoys, fmt.Sprint(i)) })
					synctest.Wait()
				}
				group.Wait()
				if !slices.Equal(l.groups, tc.groups) {
					t.Errorf("stored %q, want %q", l.groups, tc.groups)
				}
				var failed []string
				for i, err := range errs {
					switch {
					case err != nil:
						failed = append(failed, fmt.Sprint(i))
						if !errors.Is(err, errRefused) {
							t.Errorf("%d: %v, want %v", i, err, errRefused)
						}
					case versions[i].stamp == 0:
						t.Errorf("%d has the version that was there before", i)
					}
				}
				if got := strings.Join(failed, " "); got != tc.failed {
					t.Errorf("failed: %q, want %q", got, tc.failed)
				}
				if len(convoys.bySession) != 0 {
					t.Errorf("%d lines are left", len(convoys.bySession))
				}
			})
		})
	}
}

// Who gives up waiting is not stored; who is being stored by then has the outcome.
func TestConvoyWithdrawal(t *testing.T) {
	for _, tc := range []struct {
		name     string
		patience time.Duration // of 2, which comes at once
		groups   []string
		err      error
	}{
		{"in the line", storing / 2, []string{"0", "1 3"}, context.DeadlineExceeded},
		{"while it is stored", storing * 3 / 2, []string{"0", "1 2 3"}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, convoys := &ledger{t: t, names: make(map[*batch]string)}, newConvoys()
				l.refuses = func([]string) (string, error) { return "", nil }
				var group sync.WaitGroup
				for i := range 4 {
					group.Go(func() {
						ctx, want := t.Context(), error(nil)
						if i == 2 {
							var cancel context.CancelFunc
							ctx, cancel = context.WithTimeout(ctx, tc.patience)
							defer cancel()
							want = tc.err
						}
						_, err := l.commit(ctx, convoys, fmt.Sprint(i))
						if !errors.Is(err, want) || want != nil && !errors.Is(err, ErrUnavailable) {
							t.Errorf("%d: %v, want %v", i, err, want)
						}
					})
					synctest.Wait()
				}
				group.Wait()
				if !slices.Equal(l.groups, tc.groups) {
					t.Errorf("stored %q, want %q", l.groups, tc.groups)
				}
			})
		})
	}
}

// One that stores for others and is given up does not take them with it.
func TestConvoyLeaderGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, convoys := &ledger{t: t, names: make(map[*batch]string)}, newConvoys()
		l.refuses = func([]string) (string, error) { return "", nil }
		impatient, cancel := context.WithTimeout(t.Context(), storing*3/2)
		defer cancel()
		var group sync.WaitGroup
		for i := range 4 {
			group.Go(func() {
				ctx := t.Context()
				if i == 1 {
					ctx = impatient
				}
				_, err := l.commit(ctx, convoys, fmt.Sprint(i))
				if i == 1 != errors.Is(err, context.DeadlineExceeded) || i != 1 && err != nil {
					t.Errorf("%d: %v", i, err)
				}
			})
			synctest.Wait()
		}
		group.Wait()
		if want := []string{"0", "1 2 3", "1", "2 3"}; !slices.Equal(l.groups, want) {
			t.Errorf("stored %q, want %q", l.groups, want)
		}
	})
}

// Sessions do not wait for each other.
func TestConvoyPerSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		convoys, begin := newConvoys(), time.Now()
		var group sync.WaitGroup
		for i := range 100 {
			group.Go(func() {
				_, err := convoys.commit(t.Context(), &version{base: fmt.Sprint(i)}, new(batch), func(ctx context.Context, _ *version, _ []*batch) error {
					return sleep(ctx, storing)
				})
				must(t, err)
			})
		}
		group.Wait()
		if took := time.Since(begin); took != storing {
			t.Errorf("100 sessions took %v, want %v", took, storing)
		}
	})
}
