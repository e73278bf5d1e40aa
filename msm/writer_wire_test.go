package msm

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// wrapped is the least middleware: what the manager does around a handler.
func wrapped(commit func(http.ResponseWriter) error, next http.Handler) http.Handler {
	buffers := newBufferPool()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rw := newResponseWriter(w, func() error { return commit(w) }, buffers)
		next.ServeHTTP(rw, r)
		rw.finish()
	})
}

func nothingToCommit(http.ResponseWriter) error { return nil }

func startServer(t *testing.T, h http.Handler) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Start()
	t.Cleanup(s.Close)
	return s
}

var dateLine = regexp.MustCompile(`(?m)^Date: .*\r\n`)

// exchange sends raw bytes and returns everything that comes back.
func exchange(t *testing.T, s *httptest.Server, request string) string {
	t.Helper()
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	reply, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	return dateLine.ReplaceAllString(string(reply), "")
}

const getClose = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

var wireCases = []struct {
	name, reason string
	request      string // "" means getClose
	handler      http.HandlerFunc
}{
	{"nothing", "net/http answers 200 by itself", "", func(w http.ResponseWriter, r *http.Request) {}},
	{"status alone", "no body", "", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(404) }},
	{"empty write", "settles the status", "", func(w http.ResponseWriter, r *http.Request) {
		w.Write(nil)
		w.WriteHeader(404)
	}},
	{"small", "Content-Length counted, Content-Type sniffed", "", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "<html>hello")
	}},
	{"small in pieces", "as if in one", "", func(w http.ResponseWriter, r *http.Request) {
		for range 20 {
			fmt.Fprint(w, "piece ")
		}
	}},
	{"sniffing sees the same bytes", "net/http looks at its whole buffer", "", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, " ")
		io.WriteString(w, "<?xml version=")
	}},
	{"2048 bytes", "still one piece", "", func(w http.ResponseWriter, r *http.Request) { w.Write(bytes.Repeat([]byte("x"), 2048)) }},
	{"2049 bytes", "chunked", "", func(w http.ResponseWriter, r *http.Request) { w.Write(bytes.Repeat([]byte("x"), 2049)) }},
	{"2000 and 100", "the chunk's size is net/http's", "", func(w http.ResponseWriter, r *http.Request) {
		w.Write(bytes.Repeat([]byte("x"), 2000))
		w.Write(bytes.Repeat([]byte("y"), 100))
	}},
	{"100 and 9000", "likewise", "", func(w http.ResponseWriter, r *http.Request) {
		w.Write(bytes.Repeat([]byte("x"), 100))
		w.Write(bytes.Repeat([]byte("y"), 9000))
		io.WriteString(w, "end")
	}},
	{"Content-Length", "as declared", "", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "5")
		io.WriteString(w, "hello")
	}},
	{"large Content-Length", "not chunked", "", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "5000")
		w.Write(bytes.Repeat([]byte("x"), 2500))
		w.Write(bytes.Repeat([]byte("y"), 2500))
	}},
	{"more than declared", "the write that passes it fails, the others do not", "", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "8")
		io.WriteString(w, "hello")
		if _, err := io.WriteString(w, "world"); err != http.ErrContentLength {
			panic(err)
		}
		if _, err := io.WriteString(w, "!"); err != http.ErrContentLength {
			panic(err)
		}
	}},
	{"less than declared", "the connection is closed", "", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "8")
		io.WriteString(w, "hello")
	}},
	{"Content-Length that is none", "net/http drops it", "", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "-5x")
		io.WriteString(w, "hello")
	}},
	{"HEAD", "length and type of the body that is not sent", "HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "<html>hello") }},
	{"HEAD without body", "no length", "HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(200) }},
	{"HEAD of much", "no length", "HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		func(w http.ResponseWriter, r *http.Request) { w.Write(make([]byte, 5000)) }},
	{"HEAD with Content-Length", "as declared", "HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "12345")
			w.WriteHeader(200)
		}},
	{"204", "has no body", "", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(204)
		if _, err := io.WriteString(w, "no"); err != http.ErrBodyNotAllowed {
			panic(err)
		}
	}},
	{"304", "has no body", "", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"1"`)
		w.WriteHeader(304)
		if _, err := io.WriteString(w, "no"); err != http.ErrBodyNotAllowed {
			panic(err)
		}
	}},
	{"304 and an empty write", "is no body, in HTTP/1", getClose, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(304)
		if n, err := w.Write([]byte{}); n != 0 || err != nil {
			panic(err)
		}
	}},
	{"second WriteHeader", "the first one counts", "", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(201)
		w.WriteHeader(500)
		io.WriteString(w, "created")
		w.WriteHeader(500)
	}},
	{"header after WriteHeader", "too late", "", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("A", "1")
		w.Header().Set("B", "1")
		w.Header()["D"] = append(make([]string, 0, 4), "1")
		w.WriteHeader(200)
		w.Header().Set("A", "2")
		w.Header().Del("B")
		w.Header().Set("C", "2")
		w.Header().Add("D", "2")
		io.WriteString(w, "hello")
	}},
	{"header after Write", "too late", "", func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		io.WriteString(w, "hello")
		h.Set("Content-Type", "late/late")
	}},
	{"declared trailer", "a header set late is the trailer", "", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "Sum")
		io.WriteString(w, "hello")
		w.Header().Set("Sum", "42")
	}},
	{"trailer by prefix", "after a flush", "", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "hello")
		w.(http.Flusher).Flush()
		w.Header().Set(http.TrailerPrefix+"Sum", "42")
	}},
	{"trailer by prefix, not flushed", "net/http sends none", "", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "hello")
		w.Header().Set(http.TrailerPrefix+"Sum", "42")
	}},
	{"flush alone", "sends the header", "", func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		w.WriteHeader(500)
		io.WriteString(w, "hello")
	}},
	{"flush between", "two chunks", "", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "one")
		w.(http.Flusher).Flush()
		io.WriteString(w, "two")
	}},
	{"103 Early Hints", "leaves at once, with the header of that moment", "", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</a.css>; rel=preload")
		w.WriteHeader(103)
		w.Header().Set("Link", "</b.css>; rel=preload")
		w.WriteHeader(103)
		w.Header().Del("Link")
		io.WriteString(w, "hello")
	}},
	{"1xx after the status", "too late", "", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(200)
		w.WriteHeader(103)
	}},
	{"101", "is no 1xx that leaves at once", "", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Upgrade", "x")
		w.Header().Set("Connection", "Upgrade")
		w.WriteHeader(101)
	}},
	{"invalid status", "net/http panics", "", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(99) }},
	{"panic", "nothing is sent", "", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "half a")
		panic(http.ErrAbortHandler)
	}},
	{"HTTP/1.0", "no chunks", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n",
		func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") }},
	{"two requests", "the connection stays in step", "GET / HTTP/1.1\r\nHost: x\r\n\r\n" + getClose,
		func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") }},
	{"request body", "read while the response is held", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc",
		func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "got ")
			io.Copy(w, r.Body)
		}},
	{"copy of little", "ReadFrom", "", func(w http.ResponseWriter, r *http.Request) {
		io.Copy(w, iotest.OneByteReader(strings.NewReader("hello")))
	}},
	{"copy of nothing", "settles nothing", "", func(w http.ResponseWriter, r *http.Request) {
		io.Copy(w, iotest.OneByteReader(strings.NewReader("")))
		w.WriteHeader(404)
	}},
	{"copy after held bytes", "in order", "", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "10")
		io.WriteString(w, "hello")
		io.Copy(w, iotest.OneByteReader(strings.NewReader("world")))
	}},
	{"copy of an endless source", "its error is the copy's", "", func(w http.ResponseWriter, r *http.Request) {
		io.Copy(w, io.MultiReader(strings.NewReader("hello"), iotest.ErrReader(io.ErrUnexpectedEOF)))
	}},
	{"ServeContent", "a range", "GET / HTTP/1.1\r\nHost: x\r\nRange: bytes=2-5\r\nConnection: close\r\n\r\n",
		func(w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "a.txt", time.Unix(1, 0), strings.NewReader("0123456789"))
		}},
	{"Error", "http.Error", "", func(w http.ResponseWriter, r *http.Request) { http.Error(w, "bad", 400) }},
	{"Redirect", "http.Redirect", "", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/to", http.StatusSeeOther) }},
	{"no Date", "a nil value suppresses a header", "", func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Date"] = nil
		io.WriteString(w, "hello")
	}},
}

// The wire cannot tell whether a handler is wrapped.
func TestWriterLeavesTheWireAsItIs(t *testing.T) {
	for _, tc := range wireCases {
		t.Run(tc.name, func(t *testing.T) {
			request := tc.request
			if request == "" {
				request = getClose
			}
			want := exchange(t, startServer(t, tc.handler), request)
			got := exchange(t, startServer(t, wrapped(nothingToCommit, tc.handler)), request)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-net/http +wrapped):\n%s", tc.reason, diff)
			}
		})
	}
}

// The same over HTTP/2, whose writer is another one; seen through a client.
func TestWriterOverHTTP2(t *testing.T) {
	serve := func(h http.Handler) string {
		s := httptest.NewUnstartedServer(h)
		s.EnableHTTP2 = true
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		s.StartTLS()
		defer s.Close()
		resp, err := s.Client().Get(s.URL)
		if err != nil {
			return "failed"
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		resp.Header.Del("Date")
		return fmt.Sprint(resp.Proto, resp.StatusCode, resp.ContentLength, resp.Header, resp.Trailer, string(body), err != nil)
	}
	for _, tc := range wireCases {
		if tc.request != "" || tc.name == "101" || tc.name == "more than declared" {
			continue // about HTTP/1 alone; HTTP/2 has another error for the last
		}
		t.Run(tc.name, func(t *testing.T) {
			want, got := serve(tc.handler), serve(wrapped(nothingToCommit, tc.handler))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-net/http +wrapped):\n%s", tc.reason, diff)
			}
		})
	}
}

// sendfileConn tells what net/http hands to the connection's own ReadFrom: a
// file, there, goes out by sendfile.
type sendfileConn struct {
	*net.TCPConn
	l *sendfileListener
}

func (c sendfileConn) ReadFrom(src io.Reader) (int64, error) {
	origin := src
	if limited, ok := src.(*io.LimitedReader); ok {
		origin = limited.R
	}
	_, isFile := origin.(interface{ Fd() uintptr })
	c.l.mu.Lock()
	c.l.files = append(c.l.files, isFile)
	c.l.mu.Unlock()
	return c.TCPConn.ReadFrom(src)
}

type sendfileListener struct {
	net.Listener
	mu    sync.Mutex
	files []bool
}

func (l *sendfileListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return sendfileConn{conn.(*net.TCPConn), l}, nil
}

func TestWriterKeepsSendfile(t *testing.T) {
	path := t.TempDir() + "/large"
	content := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	writeFile(t, path, content)
	s := httptest.NewUnstartedServer(wrapped(nothingToCommit, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, path)
	})))
	l := &sendfileListener{Listener: s.Listener}
	s.Listener = l
	s.Start()
	defer s.Close()

	resp, err := s.Client().Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || !bytes.Equal(body, content) {
		t.Fatalf("got %d bytes, %v; want the file's %d", len(body), err, len(content))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if diff := cmp.Diff([]bool{true}, l.files); diff != "" {
		t.Errorf("the connection's ReadFrom got a file (-want +got):\n%s", diff)
	}
}
