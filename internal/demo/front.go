package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"sync/atomic"
	"time"
)

// frontHandler is what the browser talks to: the proxy, and the endpoint that
// stops and starts what stands behind it.
func (s *system) frontHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /control", s.control)
	mux.HandleFunc("/admin/{instance}", s.admin)
	mux.HandleFunc("GET /favicon.ico", http.NotFound) // not an instance's turn
	mux.Handle("/", s.proxy())
	return http.NewCrossOriginProtection().Handler(mux)
}

// servedBy is the header in which the proxy names the instance.
const servedBy = "X-Served-By"

// proxy sends requests to the instances in turn. What they cannot do becomes a
// page that says so and keeps the buttons.
func (s *system) proxy() http.Handler {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme = "http"
			r.Out.Host = r.In.Host
			r.SetXForwarded()
		},
		Transport:      &inTurn{instances: s.instances, transport: &http.Transport{DisableKeepAlives: true}},
		ModifyResponse: refuseUnavailable,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			var u *unavailable
			if !errors.As(err, &u) {
				s.render(w, http.StatusBadGateway, "", view{Problem: "No instance answers: " + err.Error()})
				return
			}
			s.render(w, http.StatusServiceUnavailable, u.instance, view{Problem: u.reason})
		},
	}
}

// inTurn is round robin, as nginx does it with two upstream servers: a
// connection for each request, and the next instance if one refuses it. Nothing
// was sent then, so that any request may go on.
type inTurn struct {
	instances []*instance
	transport http.RoundTripper
	turn      atomic.Uint32
}

func (t *inTurn) RoundTrip(r *http.Request) (*http.Response, error) {
	first := int(t.turn.Add(1) - 1)
	err := errors.New("all of them are stopped")
	for k := range t.instances {
		i := t.instances[(first+k)%len(t.instances)]
		addr := i.address()
		if addr == "" {
			continue
		}
		out := r.Clone(r.Context())
		out.URL.Host = addr
		if r.Body != nil {
			out.Body = io.NopCloser(r.Body) // a refusal must not close it
		}
		var resp *http.Response
		if resp, err = t.transport.RoundTrip(out); err == nil {
			resp.Header.Set(servedBy, i.name)
			return resp, nil
		}
		var failure *net.OpError
		if !errors.As(err, &failure) || failure.Op != "dial" {
			return nil, err
		}
	}
	return nil, err
}

// unavailable is an instance's answer that it cannot get at the session.
type unavailable struct{ instance, reason string }

func (u *unavailable) Error() string { return u.instance + ": " + u.reason }

// maxReason bounds how much of such an answer is shown.
const maxReason = 1000

// refuseUnavailable makes an error of a response of status 503.
func refuseUnavailable(resp *http.Response) error {
	if resp.StatusCode != http.StatusServiceUnavailable {
		return nil
	}
	reason, err := io.ReadAll(io.LimitReader(resp.Body, maxReason))
	if err != nil {
		return err
	}
	return &unavailable{resp.Header.Get(servedBy), string(reason)}
}

// stopTimeout bounds how long the manager of a stopped instance may take.
const stopTimeout = 2 * time.Second

// control carries out what a button of the page says, then sends the browser
// back to the page: a visit that follows on the heels of a stop.
func (s *system) control(w http.ResponseWriter, r *http.Request) {
	action, target := r.FormValue("action"), r.FormValue("target")
	do, err := s.action(action, target)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if err := do(); err != nil {
		http.Error(w, action+" "+target+": "+err.Error(), http.StatusConflict)
		return
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// action finds what is to be done to whom.
func (s *system) action(action, target string) (func() error, error) {
	var start, stop func() error
	for _, n := range s.nodes {
		if n.id == target {
			start, stop = n.start, n.stop
		}
	}
	for _, i := range s.instances {
		if i.name == target {
			start, stop = i.start, func() error {
				ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
				defer cancel()
				return i.stop(ctx)
			}
		}
	}
	switch {
	case start == nil:
		return nil, errors.New("target must be a node or an instance")
	case action == "start":
		return start, nil
	case action == "stop":
		return stop, nil
	}
	return nil, errors.New("action must be start or stop")
}
