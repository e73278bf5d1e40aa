package main

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/seed99545744/msm/msm"
)

// The attributes of the demo's session.
const (
	visitsName = "visits"
	noteName   = "test.org"
)

// maxNote bounds the text that a visitor may leave in the session.
const maxNote = 200

// handler is the application.
func (i *instance) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", i.visit)
	mux.HandleFunc("POST /note", i.setNote)
	mux.HandleFunc("POST /end", i.end)
	return mux
}

// visit counts a visit and shows the page.
func (i *instance) visit(w http.ResponseWriter, r *http.Request) {
	v, err := i.countVisit(r)
	if err != nil {
		refuse(w, err)
		return
	}
	i.system.render(w, http.StatusOK, i.name, v)
}

// countVisit changes the session and stores it, then says what it is like now.
func (i *instance) countVisit(r *http.Request) (v view, err error) {
	s := msm.From(r.Context())
	visits, note := msm.NewKey[int](visitsName), msm.NewKey[string](noteName)
	if err := visits.Update(s, func(old int, _ bool) (int, error) { return old + 1, nil }); err != nil {
		return v, err
	}
	if _, ok, err := note.Get(s); err != nil {
		return v, err
	} else if !ok {
		if err := note.Set(s, "set by "+i.name+" at "+time.Now().Format(time.TimeOnly)); err != nil {
			return v, err
		}
	}
	// The page shows where the copies lie after this visit, so it must be
	// stored before the page is drawn.
	if err := s.Save(r.Context()); err != nil {
		return v, err
	}
	info, err := s.Info()
	if err != nil {
		return v, err
	}
	v.New, v.Created = info.IsNew, info.CreatedAt
	var errs [4]error
	v.Visits, _, errs[0] = visits.Get(s)
	v.Note, _, errs[1] = note.Get(s)
	v.ID, errs[2] = s.ID()
	v.Copies, errs[3] = s.Copies()
	// A node that has come back since the visit was stored would be the session's
	// now; the page shows this visit.
	if i := slices.Index(v.Copies, v.Node()); i > 0 {
		v.Copies[0], v.Copies[i] = v.Copies[i], v.Copies[0]
	}
	return v, errors.Join(errs[:]...)
}

// setNote stores what the visitor typed.
func (i *instance) setNote(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 4*maxNote)
	text := r.FormValue("note")
	text = strings.ToValidUTF8(text[:min(len(text), maxNote)], "")
	back(w, r, msm.NewKey[string](noteName).Set(msm.From(r.Context()), text))
}

// end destroys the session; the next visit begins a new one.
func (i *instance) end(w http.ResponseWriter, r *http.Request) {
	back(w, r, msm.From(r.Context()).Invalidate())
}

// back sends the browser to the page.
func back(w http.ResponseWriter, r *http.Request, err error) {
	if err != nil {
		refuse(w, err)
		return
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// refuse says that there is no session; the proxy makes a page of it.
func refuse(w http.ResponseWriter, err error) {
	http.Error(w, "The session cannot be had: "+err.Error(), http.StatusServiceUnavailable)
}
