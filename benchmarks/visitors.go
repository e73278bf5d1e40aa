package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Visitors call the application from a process of their own, so that what they
// cost is not taken for what the application costs.

// visitorsEnv makes this program the visitors of an application; its value is
// a visit in JSON.
const visitorsEnv = "BENCHMARKS_VISITORS"

const (
	readPath  = "/read"
	writePath = "/write"
)

// writeEvery is how many requests of a visitor there are for one that writes.
const writeEvery = 4

// visit says whom to visit, and how.
type visit struct {
	Addr    string
	Clients int
	Shared  bool // all in one session
}

// appRunner is an application in this process and its visitors in another.
type appRunner struct {
	app     app
	server  *http.Server
	process *exec.Cmd
	orders  io.WriteCloser
	reports *json.Decoder
}

// openApp makes a contender of an application.
func openApp(open func(cell) (app, error)) func(cell) (runner, error) {
	return func(c cell) (runner, error) {
		a, err := open(c)
		if err != nil {
			return nil, err
		}
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			a.close()
			return nil, err
		}
		r := &appRunner{app: a, server: &http.Server{Handler: a}}
		go r.server.Serve(listener) // ends when close closes the server
		if err := r.startVisitors(visit{listener.Addr().String(), c.goroutines, c.name == "shared"}); err != nil {
			r.close()
			return nil, err
		}
		return r, nil
	}
}

func (r *appRunner) startVisitors(v visit) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	config, err := json.Marshal(v)
	if err != nil {
		return err
	}
	r.process = exec.Command(self)
	r.process.Env = append(os.Environ(), visitorsEnv+"="+string(config))
	r.process.Stderr = os.Stderr
	if r.orders, err = r.process.StdinPipe(); err != nil {
		return err
	}
	out, err := r.process.StdoutPipe()
	if err != nil {
		return err
	}
	r.reports = json.NewDecoder(out)
	return r.process.Start()
}

// visitReport is what the visitors say of one round.
type visitReport struct {
	Ops, Errors, Lost int64
	FirstErr          string
	Wall              time.Duration
	Count             uint64
	Buckets           []uint32
}

func (r *appRunner) run(d time.Duration, servers []*control) (*sample, error) {
	before, err := readMeters(servers)
	if err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintln(r.orders, d); err != nil {
		return nil, err
	}
	var report visitReport
	if err := r.reports.Decode(&report); err != nil {
		return nil, fmt.Errorf("visitors: %w", err)
	}
	after, err := readMeters(servers)
	if err != nil {
		return nil, err
	}
	s := &sample{ops: report.Ops, errors: report.Errors, lost: report.Lost, wall: report.Wall}
	s.spent(before, after)
	if report.FirstErr != "" {
		s.firstErr = fmt.Errorf("%s", report.FirstErr)
	}
	s.latency.count = report.Count
	copy(s.latency.buckets[:], report.Buckets)
	return s, nil
}

func (r *appRunner) close() {
	if r.orders != nil {
		r.orders.Close() // the visitors leave
	}
	if r.process != nil && r.process.Process != nil {
		r.process.Wait()
	}
	r.server.Close()
	r.app.close()
}

// runVisitors is the whole life of the other process: an order in, a report
// out, until there are no more orders.
func runVisitors(config string, orders io.Reader, reports io.Writer) error {
	var v visit
	if err := json.Unmarshal([]byte(config), &v); err != nil {
		return err
	}
	visitors := make([]*visitor, v.Clients)
	for i := range visitors {
		w := &visitor{addr: v.Addr, own: new(tally)}
		if v.Shared && i > 0 {
			w.cookie, w.own = visitors[0].cookie, visitors[0].own
		} else if _, err := w.call(writePath); err != nil { // begins the session
			return err
		}
		visitors[i] = w
	}
	lines, out := bufio.NewScanner(orders), json.NewEncoder(reports)
	for lines.Scan() {
		d, err := time.ParseDuration(lines.Text())
		if err != nil {
			return err
		}
		if err := out.Encode(visitRound(visitors, d)); err != nil {
			return err
		}
	}
	return lines.Err()
}

func visitRound(visitors []*visitor, d time.Duration) visitReport {
	steps := make([]step, len(visitors))
	for i, v := range visitors {
		steps[i] = v.step
	}
	s := runSteps(steps, d)
	report := visitReport{Ops: s.ops, Errors: s.errors, Wall: s.wall, Count: s.latency.count, Buckets: s.latency.buckets[:]}
	if s.firstErr != nil {
		report.FirstErr = s.firstErr.Error()
	}
	for _, v := range visitors {
		report.Lost += v.own.settle(v)
	}
	return report
}

// tally counts the increments of one session that were acknowledged.
type tally struct{ written, known atomic.Int64 }

// settle compares what was acknowledged since the last time with what the
// session says.
func (t *tally) settle(v *visitor) (lost int64) {
	written := t.written.Swap(0)
	if written == 0 {
		return 0
	}
	counter, err := v.call(readPath)
	if err != nil {
		return 0
	}
	return written - (int64(counter) - t.known.Swap(int64(counter)))
}

// visitor is one client with a connection and a cookie.
type visitor struct {
	addr   string
	own    *tally
	cookie string
	turn   int
	nc     net.Conn
	r      *bufio.Reader
}

func (v *visitor) step() (int, error) {
	v.turn++
	path := readPath
	if v.turn%writeEvery == 0 {
		path = writePath
	}
	_, err := v.call(path)
	return 1, err
}

// call makes a request and returns the counter.
func (v *visitor) call(path string) (int, error) {
	if v.nc == nil {
		nc, err := net.Dial("tcp", v.addr)
		if err != nil {
			return 0, err
		}
		v.nc, v.r = nc, bufio.NewReader(nc)
	}
	counter, err := v.exchange(path)
	if err != nil {
		v.nc.Close()
		v.nc = nil
		return 0, err
	}
	if path == writePath {
		v.own.written.Add(1)
	}
	return counter, nil
}

func (v *visitor) exchange(path string) (int, error) {
	if _, err := fmt.Fprintf(v.nc, "GET %s HTTP/1.1\r\nHost: app\r\nCookie: %s\r\n\r\n", path, v.cookie); err != nil {
		return 0, err
	}
	resp, err := http.ReadResponse(v.r, nil)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("%s: %s", resp.Status, strings.TrimSpace(string(body)))
	}
	for _, c := range resp.Cookies() {
		v.cookie = c.Name + "=" + c.Value
	}
	return strconv.Atoi(string(body))
}
