package msm

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func writeFile(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

var errTestCommit = errors.New("node down")

// probe is a response writer under test over a recorder; it tells when commit
// was called, and what had been sent by then.
type probe struct {
	*responseWriter
	rec     *httptest.ResponseRecorder
	commits int
	sent    bool // something had been sent before commit
}

func newProbe(commitError error) *probe {
	p := &probe{rec: httptest.NewRecorder()}
	p.responseWriter = newResponseWriter(p.rec, func() error {
		p.commits++
		p.sent = p.rec.Body.Len() > 0 || p.rec.Flushed
		p.rec.Header().Set("Set-Cookie", "sid=1")
		return commitError
	}, newBufferPool())
	return p
}

func TestWriterCommitsBeforeTheFirstByte(t *testing.T) {
	for _, tc := range []struct {
		name, reason string
		handle       func(w http.ResponseWriter)
		want         bool // committed before finish
	}{
		{"nothing", "the handler may still change the session", func(w http.ResponseWriter) {}, false},
		{"status", "is held", func(w http.ResponseWriter) { w.WriteHeader(201) }, false},
		{"1xx", "passes by", func(w http.ResponseWriter) { w.WriteHeader(103) }, false},
		{"2 KiB", "is held", func(w http.ResponseWriter) { w.Write(make([]byte, holdSize)) }, false},
		{"more", "cannot be held", func(w http.ResponseWriter) { w.Write(make([]byte, holdSize+1)) }, true},
		{"more in pieces", "cannot be held", func(w http.ResponseWriter) {
			for range 3 {
				io.WriteString(w, strings.Repeat("x", holdSize/2))
			}
		}, true},
		{"Flush", "sends", func(w http.ResponseWriter) { w.(http.Flusher).Flush() }, true},
		{"controller's Flush", "sends", func(w http.ResponseWriter) { http.NewResponseController(w).Flush() }, true},
		{"ReadFrom", "sends", func(w http.ResponseWriter) { w.(io.ReaderFrom).ReadFrom(strings.NewReader("x")) }, true},
		{"Hijack", "leaves the response to the handler", func(w http.ResponseWriter) { w.(http.Hijacker).Hijack() }, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newProbe(nil)
			tc.handle(p)
			if p.committed() != tc.want || p.commits > 1 {
				t.Errorf("committed() = %v after %d commits, want %v: %s", p.committed(), p.commits, tc.want, tc.reason)
			}
			if err := p.finish(); err != nil {
				t.Errorf("finish() = %v, want nil", err)
			}
			if p.commits != 1 || !p.committed() {
				t.Errorf("%d commits in all, committed() = %v; want 1, true", p.commits, p.committed())
			}
			if p.sent {
				t.Error("bytes were sent before the commit")
			}
			if got := p.rec.Header().Get("Set-Cookie"); got != "sid=1" {
				t.Errorf("Set-Cookie = %q, want sid=1", got)
			}
		})
	}
}

// failedHandlers are handlers whose session cannot be stored.
var failedHandlers = []struct {
	name   string
	handle func(t *testing.T, w http.ResponseWriter)
}{
	{"nothing written", func(t *testing.T, w http.ResponseWriter) {}},
	{"held body", func(t *testing.T, w http.ResponseWriter) {
		w.Header().Set("Content-Length", "6")
		w.Header().Set("Content-Type", "image/png")
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Set-Cookie", "welcome=1")
		w.WriteHeader(201)
		io.WriteString(w, "secret")
	}},
	{"large body", func(t *testing.T, w http.ResponseWriter) {
		io.WriteString(w, "secret")
		for range 2 {
			if n, err := w.Write(make([]byte, holdSize)); n != 0 || err != errTestCommit {
				t.Errorf("Write = %d, %v; want 0 and the commit's error", n, err)
			}
			if n, err := io.WriteString(w, "secret"); n != 0 || err != errTestCommit {
				t.Errorf("WriteString = %d, %v; want 0 and the commit's error", n, err)
			}
		}
		http.Error(w, "secret", 500)
	}},
	{"flush", func(t *testing.T, w http.ResponseWriter) {
		io.WriteString(w, "secret")
		for range 2 {
			if err := http.NewResponseController(w).Flush(); err != errTestCommit {
				t.Errorf("Flush = %v, want the commit's error", err)
			}
		}
	}},
	{"copy", func(t *testing.T, w http.ResponseWriter) {
		for range 2 {
			if n, err := io.Copy(w, struct{ io.Reader }{strings.NewReader("secret")}); n != 0 || err != errTestCommit {
				t.Errorf("Copy = %d, %v; want 0 and the commit's error", n, err)
			}
		}
	}},
	{"hijack", func(t *testing.T, w http.ResponseWriter) {
		for range 2 {
			if _, _, err := http.NewResponseController(w).Hijack(); err != errTestCommit {
				t.Errorf("Hijack = %v, want the commit's error", err)
			}
		}
	}},
	{"late header", func(t *testing.T, w http.ResponseWriter) {
		w.WriteHeader(200)
		w.Header().Set("Content-Type", "image/png")
	}},
}

func TestWriterFailedCommitIsAClean503(t *testing.T) {
	for _, tc := range failedHandlers {
		t.Run(tc.name, func(t *testing.T) {
			var finished error
			h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Strict-Transport-Security", "max-age=1") // of a middleware further out
				rw := newResponseWriter(w, func() error {
					w.Header().Set("Set-Cookie", "sid=1")
					return errTestCommit
				}, newBufferPool())
				tc.handle(t, rw)
				finished = rw.finish()
			})
			got := exchange(t, startServer(t, h), getClose)
			want := "HTTP/1.1 503 Service Unavailable\r\n" +
				"Cache-Control: no-store\r\n" +
				"Content-Type: text/plain; charset=utf-8\r\n" +
				"Retry-After: 1\r\n" +
				"Strict-Transport-Security: max-age=1\r\n" +
				"X-Content-Type-Options: nosniff\r\n" +
				"Content-Length: 51\r\n" +
				"Connection: close\r\n\r\n" +
				"The session could not be stored. Please try again.\n"
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("response (-want +got):\n%s", diff)
			}
			if finished != errTestCommit {
				t.Errorf("finish() = %v, want the commit's error", finished)
			}
		})
	}
}

func TestWriterCommitSeesTheSettledHeader(t *testing.T) {
	p := newProbe(nil)
	var seen http.Header
	commit := p.commit
	p.commit = func() error {
		seen = p.rec.Header().Clone()
		return commit()
	}
	p.Header().Set("A", "1")
	p.WriteHeader(200)
	p.Header().Set("A", "2")
	p.Header().Set("Set-Cookie", "late=1")
	p.finish()
	if diff := cmp.Diff(http.Header{"A": {"1"}}, seen); diff != "" {
		t.Errorf("header that commit saw (-want +got):\n%s", diff)
	}
	// A writer further out that has not sent the header yet must still
	// find what commit has set.
	if diff := cmp.Diff(http.Header{"A": {"2"}, "Set-Cookie": {"sid=1"}}, p.rec.Header()); diff != "" {
		t.Errorf("header after finish (-want +got):\n%s", diff)
	}
}

// What a handler gets from a writer that panicked in the middle: nothing was
// sent, so a middleware further out can still answer.
func TestWriterPanicLeavesTheResponseUntouched(t *testing.T) {
	p := newProbe(nil)
	func() {
		defer func() { recover() }()
		p.WriteHeader(200)
		io.WriteString(p, "half a")
		panic("handler")
	}()
	http.Error(p.rec, "sorry", 500)
	if p.commits != 0 || p.rec.Code != 500 || p.rec.Body.String() != "sorry\n" {
		t.Errorf("%d commits, response %d %q; want 0, 500 \"sorry\\n\"", p.commits, p.rec.Code, p.rec.Body)
	}
}

func TestWriterSSE(t *testing.T) {
	next := make(chan struct{})
	var order []string
	h := wrapped(func(w http.ResponseWriter) error {
		order = append(order, "commit")
		w.Header().Set("Set-Cookie", "sid=1")
		return nil
	}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		rc := http.NewResponseController(w)
		for range 3 {
			io.WriteString(w, "data: x\n\n")
			if err := rc.Flush(); err != nil {
				t.Error(err)
			}
			order = append(order, "event")
			<-next
		}
	}))
	resp, err := http.Get(startServer(t, h).URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got := resp.Header.Get("Set-Cookie"); got != "sid=1" {
		t.Errorf("Set-Cookie = %q, want sid=1", got)
	}
	events := bufio.NewReader(resp.Body)
	for range 3 { // each arrives while the handler waits
		if line, err := events.ReadString('\n'); line != "data: x\n" {
			t.Fatalf("event = %q, %v", line, err)
		}
		events.ReadString('\n')
		next <- struct{}{}
	}
	if _, err := events.ReadByte(); err != io.EOF {
		t.Errorf("after the events: %v, want EOF", err)
	}
	if diff := cmp.Diff([]string{"commit", "event", "event", "event"}, order); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

// An upgrade as WebSocket libraries do it: 101 by WriteHeader, then Hijack.
// The cookie travels with the 101, and after that the connection is theirs.
func TestWriterUpgradeByHijack(t *testing.T) {
	done := make(chan error, 1)
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rw := newResponseWriter(w, func() error {
			w.Header().Set("Set-Cookie", "sid=1")
			return nil
		}, newBufferPool())
		rw.Header().Set("Connection", "Upgrade")
		rw.Header().Set("Upgrade", "echo")
		rw.WriteHeader(http.StatusSwitchingProtocols)
		conn, buf, err := http.NewResponseController(rw).Hijack()
		if err != nil {
			done <- err
			return
		}
		defer conn.Close()
		if _, _, err := rw.Hijack(); err != http.ErrHijacked {
			t.Errorf("second Hijack = %v, want ErrHijacked", err)
		}
		rw.WriteHeader(500)
		rw.Flush()
		if _, err := rw.Write([]byte("no")); err != http.ErrHijacked {
			t.Errorf("Write after Hijack = %v, want ErrHijacked", err)
		}
		if _, err := rw.ReadFrom(strings.NewReader("no")); err != http.ErrHijacked {
			t.Errorf("ReadFrom after Hijack = %v, want ErrHijacked", err)
		}
		line, _ := buf.ReadString('\n')
		buf.WriteString("echo " + line)
		buf.Flush()
		done <- rw.finish()
	})
	got := exchange(t, startServer(t, h), "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nping\n")
	want := "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nSet-Cookie: sid=1\r\nUpgrade: echo\r\n\r\necho ping\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("bytes on the connection (-want +got):\n%s", diff)
	}
	if err := <-done; err != nil {
		t.Errorf("handler: %v", err)
	}
}

// Where Hijack is not supported the handler can still answer.
func TestWriterHijackNotSupported(t *testing.T) {
	p := newProbe(nil)
	if _, _, err := p.Hijack(); !errors.Is(err, http.ErrNotSupported) {
		t.Fatalf("Hijack = %v, want ErrNotSupported", err)
	}
	http.Error(p, "no upgrade here", http.StatusNotImplemented)
	p.finish()
	if p.rec.Code != http.StatusNotImplemented || p.commits != 1 {
		t.Errorf("status %d after %d commits, want 501 after 1", p.rec.Code, p.commits)
	}
}

func TestWriterController(t *testing.T) {
	h := wrapped(nothingToCommit, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		for name, err := range map[string]error{
			"SetReadDeadline":  rc.SetReadDeadline(time.Now().Add(time.Minute)),
			"SetWriteDeadline": rc.SetWriteDeadline(time.Now().Add(time.Minute)),
			"EnableFullDuplex": rc.EnableFullDuplex(),
			"Flush":            rc.Flush(),
		} {
			if err != nil {
				t.Errorf("%s = %v, want nil", name, err)
			}
		}
	}))
	exchange(t, startServer(t, h), getClose)
}

func TestWriterAllocations(t *testing.T) {
	rec := httptest.NewRecorder()
	buffers := newBufferPool()
	body := make([]byte, 1000)
	commit := func() error { return nil }
	contentType := []string{"text/plain"}
	plain := testing.AllocsPerRun(100, func() {
		rec.Header()["Content-Type"] = contentType
		rec.Write(body)
		clear(rec.Header())
		rec.Body.Reset()
	})
	held := testing.AllocsPerRun(100, func() {
		w := newResponseWriter(rec, commit, buffers)
		w.Header()["Content-Type"] = contentType
		w.Write(body)
		w.finish()
		clear(rec.Header())
		rec.Body.Reset()
	})
	// The writer, and the copy of the header's map as it was when the handler
	// wrote.
	if got := held - plain; got > 3 {
		t.Errorf("%v allocations more than without, want at most 3", got)
	}
}
