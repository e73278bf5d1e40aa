package msm

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// When Shutdown gives up, what a session loses counts once, whatever its jobs are
// doing then.
func TestGivenUpCountsOnce(t *testing.T) {
	failure := errors.New("no node is up")
	long := func(err error) job {
		return func(context.Context) error {
			time.Sleep(time.Second)
			return err
		}
	}
	soon := func(context.Context) error { return failure }
	for name, tc := range map[string]struct {
		jobs []job // of one session; one comes when the one before has begun
		busy bool  // the worker has something else to do when the last one comes
		want int64
	}{
		"waits":                              {[]job{soon}, true, 1},
		"rests between two tries":            {[]job{soon}, false, 1},
		"rests, and a newer one waits":       {[]job{soon, soon}, true, 1},
		"runs, and succeeds":                 {[]job{long(nil)}, false, 0},
		"runs, and fails":                    {[]job{long(failure)}, false, 1},
		"runs and succeeds, a newer waits":   {[]job{long(nil), soon}, false, 1},
		"runs and fails, a newer one waits":  {[]job{long(failure), soon}, false, 1},
		"rests, a newer one runs and fails":  {[]job{soon, long(failure)}, false, 1},
		"rests, a newer one runs, one waits": {[]job{soon, long(nil), soon}, false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var lost atomic.Int64
				q := newQueue(1, time.Minute, func(error) { lost.Add(1) })
				for i, j := range tc.jobs {
					if tc.busy && i == len(tc.jobs)-1 {
						q.add("other", long(nil))
						synctest.Wait()
					}
					q.add("session", j)
					synctest.Wait()
				}
				over, cancel := context.WithCancel(t.Context())
				cancel()
				if err := q.drain(over); !errors.Is(err, context.Canceled) {
					t.Errorf("drain returned %v, want %v", err, context.Canceled)
				}
				time.Sleep(time.Minute)
				if got := lost.Load(); got != tc.want {
					t.Errorf("%d losses, want %d", got, tc.want)
				}
			})
		})
	}
}
