package msm

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"html/template"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// maxAdminForm bounds what a change may send.
const maxAdminForm = 64 << 10

// AdminHandler returns a page that shows the nodes and their state, the
// statistics, the settings and some of the sessions in this process, and that
// changes settings: what JMX is to memcached-session-manager. It works at any
// path and needs no JavaScript. With "Accept: application/json" or ?format=json
// it is JSON.
//
// A change is a POST of a form whose fields are named as those of Config, the
// same as Reconfigure with them and everything else as it is:
//
//	curl -H 'Accept: application/json' -d OperationTimeout=500ms https://host/admin/sessions
//
// Reconfigure checks it, and what it refuses changes nothing.
//
// Mount it beside Handler rather than within: a change of nodes waits for the
// requests in Handler, OperationTimeout at most, and would wait for itself.
//
// allow decides who may look and change, for every request; nil lets nobody in.
// Who it refuses gets 403. Let in only who may configure the program: with other
// nodes, sessions and the login go to any server. POSTs of other sites' pages are
// refused by http.CrossOriginProtection. Sessions are shown by fingerprints, which
// mean nothing outside this handler; ids, values and passwords are never shown.
func (m *Manager) AdminHandler(allow func(*http.Request) bool) http.Handler {
	return &adminHandler{
		manager: m,
		allow:   allow,
		origins: http.NewCrossOriginProtection(),
		policy:  "default-src 'none'; style-src '" + hashOf(adminStyle) + "'; img-src data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
		page:    template.Must(template.New("admin").Parse(adminPage)),
		prints:  newFingerprinter(),
	}
}

// adminHandler is safe for concurrent use.
type adminHandler struct {
	// Immutable.
	manager *Manager
	allow   func(*http.Request) bool
	origins *http.CrossOriginProtection
	policy  string // what browsers may do with the page
	page    *template.Template
	prints  fingerprinter
}

// hashOf is a text in a Content-Security-Policy.
func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

func (a *adminHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", a.policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	switch {
	case a.allow == nil || !a.allow(r):
		http.Error(w, "you may not see this", http.StatusForbidden)
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		a.show(w, r, http.StatusOK, nil)
	case r.Method != http.MethodPost:
		h.Set("Allow", "GET, HEAD, POST")
		http.Error(w, "GET shows, POST changes", http.StatusMethodNotAllowed)
	case a.origins.Check(r) != nil:
		http.Error(w, "this comes from the page of another site", http.StatusForbidden)
	default:
		a.change(w, r)
	}
}

// change does what a form says.
func (a *adminHandler) change(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxAdminForm)
	if err := r.ParseForm(); err != nil {
		http.Error(w, "the form cannot be read: "+err.Error(), http.StatusBadRequest)
		return
	}
	switch err := a.apply(r.PostForm); {
	case err != nil:
		a.show(w, r, http.StatusUnprocessableEntity, err)
	case wantsJSON(r):
		a.show(w, r, http.StatusOK, nil)
	default:
		// The path may be cut off by http.StripPrefix: the browser knows it.
		w.Header().Set("Location", "?")
		w.WriteHeader(http.StatusSeeOther)
	}
}

// apply reconfigures the manager with the form's settings.
func (a *adminHandler) apply(form url.Values) error {
	if len(form) == 0 {
		return errors.New("msm: the form says nothing: send a field of Config that is to be changed")
	}
	return a.manager.modify(func(cfg *Config) error {
		var p problems
		for _, name := range slices.Sorted(maps.Keys(form)) {
			if set := changeOf(name); set == nil {
				p.add(name, "cannot be changed here: start anew, or call Reconfigure")
			} else if err := set(cfg, strings.TrimSpace(form.Get(name))); err != nil {
				p.add(name, "%v", err)
			}
		}
		return errors.Join(p...)
	})
}

// show answers with the state of things.
func (a *adminHandler) show(w http.ResponseWriter, r *http.Request, status int, problem error) {
	state := a.state()
	if problem != nil {
		state.Problems = strings.Split(problem.Error(), "\n")
	}
	var b bytes.Buffer
	var err error
	contentType := "text/html; charset=utf-8"
	if wantsJSON(r) {
		contentType = "application/json"
		err = json.NewEncoder(&b).Encode(state)
	} else {
		err = a.page.Execute(&b, state)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	w.Write(b.Bytes())
}

// wantsJSON tells programs from browsers, which name text/html first.
func wantsJSON(r *http.Request) bool {
	if r.URL.Query().Get("format") == "json" {
		return true
	}
	first, _, _ := strings.Cut(r.Header.Get("Accept"), ",")
	kind, _, _ := strings.Cut(first, ";")
	return strings.TrimSpace(kind) == "application/json"
}
