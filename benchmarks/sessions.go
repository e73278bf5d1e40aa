package main

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/alexedwards/scs/v2"
	bradfitz "github.com/bradfitz/gomemcache/memcache"
	gsm "github.com/bradleypeabody/gorilla-sessions-memcache"
	"github.com/gorilla/sessions"

	"github.com/seed99545744/msm/msm"
)

// sessionBaseline is what the ratios of session managers refer to: a process
// that keeps its sessions to itself.
const sessionBaseline = "scs-memory"

// sessionSubject is what the summary is about.
const sessionSubject = "sticky"

// sessionWorkloads are: everybody a session of their own, and all in one.
var sessionWorkloads = []workload{
	{name: "own", title: "A session for each client", at: []int{1, 16, 64}},
	{name: "shared", title: "One session for all clients", at: []int{8}},
}

// managers are the session managers to compare. Each does the same: a counter
// and fifteen attributes, a few of them read by every request, and the counter
// raised by one request in four.
var managers = []contender{
	{sessionBaseline, "alexedwards/scs, its memory store", openApp(scsMemory)},
	{"scs-memcached", "alexedwards/scs on gomemcache", openApp(scsMemcached)},
	{"gorilla", "gorilla/sessions, bradleypeabody/gorilla-sessions-memcache", openApp(gorilla)},
	{sessionSubject, "msm, sticky, asynchronous backup", openApp(oursApp(msm.Config{}))},
	{"sticky-sync", "msm, sticky, synchronous backup", openApp(oursApp(msm.Config{SessionBackupSync: true}))},
	{"nonsticky", "msm, non-sticky, locking none, synchronous", openApp(oursApp(msm.Config{NonSticky: true, SessionBackupSync: true}))},
	{"nonsticky-all", "msm, non-sticky, locking all, synchronous", openApp(oursApp(msm.Config{NonSticky: true, SessionBackupSync: true, LockingMode: "all"}))},
}

// app is a web application under one session manager.
type app struct {
	http.Handler
	close func()
}

// attributes are what a session holds besides the counter.
func attributes() []string {
	list := make([]string, 15)
	for i := range list {
		list[i] = fmt.Sprintf("attribute%02d", i)
	}
	return list
}

// attributeValue is what each of them is.
const attributeValue = "forty bytes of something a user has chosen"

// readAttributes is how many of them a request looks at.
const readAttributes = 3

// counterName is the attribute that is raised.
const counterName = "counter"

// isWrite tells whether a request raises the counter.
func isWrite(r *http.Request) bool { return r.URL.Path == writePath }

// answer ends a request.
func answer(w http.ResponseWriter, counter int, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Write(strconv.AppendInt(nil, int64(counter), 10))
}

var errAttribute = errors.New("an attribute is not what was stored")

// scsApp is the application under scs.
func scsApp(m *scs.SessionManager, close func()) app {
	m.Lifetime = time.Hour
	m.Cookie.Secure = false
	names := attributes()
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		counter := m.GetInt(ctx, counterName)
		if isWrite(r) {
			if !m.Exists(ctx, counterName) {
				for _, name := range names {
					m.Put(ctx, name, attributeValue)
				}
			}
			counter++
			m.Put(ctx, counterName, counter)
		}
		for _, name := range names[:readAttributes] {
			if m.GetString(ctx, name) != attributeValue {
				answer(w, 0, errAttribute)
				return
			}
		}
		answer(w, counter, nil)
	})
	return app{m.LoadAndSave(handler), close}
}

func scsMemory(cell) (app, error) { return scsApp(scs.New(), func() {}), nil }

func scsMemcached(c cell) (app, error) {
	client := bradfitz.New(c.addrs...)
	client.MaxIdleConns, client.Timeout = c.goroutines, peerTimeout
	m := scs.New()
	m.Store = memcachedStore{client}
	return scsApp(m, func() { client.Close() }), nil
}

// memcachedStore is the least that scs asks of a store: it has none for
// memcached of its own.
type memcachedStore struct{ c *bradfitz.Client }

func (s memcachedStore) Find(token string) ([]byte, bool, error) {
	item, err := s.c.Get(token)
	if err == bradfitz.ErrCacheMiss {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	return item.Value, true, nil
}

func (s memcachedStore) Commit(token string, b []byte, expiry time.Time) error {
	return s.c.Set(&bradfitz.Item{Key: token, Value: b, Expiration: int32(time.Until(expiry).Seconds())})
}

func (s memcachedStore) Delete(token string) error {
	if err := s.c.Delete(token); err != bradfitz.ErrCacheMiss {
		return err
	}
	return nil
}

// gorilla is the application under gorilla/sessions. It saves only when
// something changed, which its handlers decide for themselves.
func gorilla(c cell) (app, error) {
	gob.Register(0)
	client := bradfitz.New(c.addrs...)
	client.MaxIdleConns, client.Timeout = c.goroutines, peerTimeout
	store := gsm.NewMemcacheStore(client, "gorilla:", []byte("a key for signing cookies: 32 by"))
	store.Options = &sessions.Options{Path: "/", MaxAge: 3600, HttpOnly: true}
	names := attributes()
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := store.Get(r, "s")
		if err != nil {
			answer(w, 0, err)
			return
		}
		counter, known := s.Values[counterName].(int)
		if isWrite(r) {
			if !known {
				for _, name := range names {
					s.Values[name] = attributeValue
				}
			}
			counter++
			s.Values[counterName] = counter
			err = s.Save(r, w)
		}
		for _, name := range names[:readAttributes] {
			if s.Values[name] != attributeValue {
				err = errAttribute
			}
		}
		answer(w, counter, err)
	})
	return app{handler, func() { client.Close() }}, nil
}

// oursApp is the application under this repository's manager.
func oursApp(settings msm.Config) func(cell) (app, error) {
	return func(c cell) (app, error) {
		config := settings
		for i, addr := range c.addrs {
			config.MemcachedNodes += fmt.Sprintf("n%d:%s ", i+1, addr)
		}
		config.Route, config.OperationTimeout = "app1", peerTimeout
		config.Cookie.Insecure = true
		m, err := msm.New(config)
		if err != nil {
			return app{}, err
		}
		keys := make([]msm.Key[string], 0, len(attributes()))
		for _, name := range attributes() {
			keys = append(keys, msm.NewKey[string](name))
		}
		handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			counter, err := oursRequest(msm.From(r.Context()), keys, isWrite(r))
			answer(w, counter, err)
		})
		return app{m.Handler(handler), func() { m.Shutdown(context.Background()) }}, nil
	}
}

// oursRequest is the work of one request.
func oursRequest(s *msm.Session, keys []msm.Key[string], write bool) (int, error) {
	counterKey := msm.NewKey[int](counterName)
	counter, known, err := counterKey.Get(s)
	if err != nil {
		return 0, err
	}
	if write && !known {
		for _, key := range keys {
			if err := key.Set(s, attributeValue); err != nil {
				return 0, err
			}
		}
	}
	if write {
		raise := func(old int, _ bool) (int, error) { return old + 1, nil }
		if err := counterKey.Update(s, raise); err != nil {
			return 0, err
		}
		counter++
	}
	for _, key := range keys[:readAttributes] {
		if value, _, err := key.Get(s); err != nil || value != attributeValue {
			return 0, errors.Join(errAttribute, err)
		}
	}
	return counter, nil
}
