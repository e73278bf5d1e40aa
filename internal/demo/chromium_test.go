package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"image/png"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// chromiumPatience bounds everything that a test does with the browser: on a busy
// machine its start alone may take seconds.
const chromiumPatience = 60 * time.Second

// chromium is a headless Chromium with one tab. It is told what to do over a
// pipe: run anew for every page, with --dump-dom, it would forget its session
// cookie, and nobody could press a button.
//
// https://chromedevtools.github.io/devtools-protocol/
type chromium struct {
	t       *testing.T
	to      *os.File
	from    *os.File
	answers *bufio.Reader
	tab     string // the session with the tab
	last    int    // number of a command
	loads   int    // pages that were loaded
}

// startChromium skips the test where no browser is installed, but in CI.
func startChromium(t *testing.T) *chromium {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("chromium is not installed: .ci/run install brings it")
		}
		t.Skip("chromium is not installed: apt install chromium, and this test runs")
	}
	profile, err := os.MkdirTemp("", "chromium")
	if err != nil {
		t.Fatal(err)
	}
	commands, to := pipe(t)
	from, answers := pipe(t)
	c := &chromium{t: t, to: to, from: from, answers: bufio.NewReader(from)}
	cmd := exec.Command(path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--disable-background-networking", "--window-size=1100,1400", "--user-data-dir="+profile, "--remote-debugging-pipe")
	cmd.ExtraFiles = []*os.File{commands, answers} // it reads from 3 and writes to 4
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	commands.Close()
	answers.Close()
	t.Cleanup(func() {
		to.Write([]byte(`{"id":1000000,"method":"Browser.close"}` + "\x00"))
		to.Close()
		time.AfterFunc(5*time.Second, func() { cmd.Process.Kill() })
		cmd.Wait() // its status tells nothing
		from.Close()
		os.RemoveAll(profile) // helpers of the browser may still write there
	})
	deadline := time.Now().Add(chromiumPatience)
	if err := errors.Join(to.SetDeadline(deadline), from.SetDeadline(deadline)); err != nil {
		t.Fatal(err)
	}
	c.attach()
	return c
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	return r, w
}

// attach opens the tab.
func (c *chromium) attach() {
	c.t.Helper()
	var target struct{ TargetID string }
	c.do("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var session struct{ SessionID string }
	c.do("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &session)
	c.tab = session.SessionID
	c.do("Page.enable", nil, nil)
}

// message is a command, its answer, or an event.
type message struct {
	ID        int             `json:"id,omitempty"`
	SessionID string          `json:"sessionId,omitempty"`
	Method    string          `json:"method,omitempty"`
	Params    any             `json:"params,omitempty"`
	Result    json.RawMessage `json:"result,omitempty"`
	Error     json.RawMessage `json:"error,omitempty"`
}

// do sends a command and waits for its answer.
func (c *chromium) do(method string, params map[string]any, result any) {
	c.t.Helper()
	c.last++
	text, err := json.Marshal(message{ID: c.last, SessionID: c.tab, Method: method, Params: params})
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.to.Write(append(text, 0)); err != nil {
		c.t.Fatalf("%s: %v", method, err)
	}
	for {
		m := c.read()
		if m.ID != c.last {
			continue
		}
		if m.Error != nil {
			c.t.Fatalf("%s: %s", method, m.Error)
		}
		if result != nil {
			if err := json.Unmarshal(m.Result, result); err != nil {
				c.t.Fatalf("%s: %v in %s", method, err, m.Result)
			}
		}
		return
	}
}

// read returns the next thing that the browser says.
func (c *chromium) read() (m message) {
	c.t.Helper()
	text, err := c.answers.ReadBytes(0)
	if err == nil {
		err = json.Unmarshal(text[:len(text)-1], &m)
	}
	if err != nil {
		c.t.Fatalf("the browser says nothing more: %v", err)
	}
	if m.Method == "Page.loadEventFired" {
		c.loads++
	}
	return m
}

// load does what makes the tab load a page, waits for it, and returns its DOM.
func (c *chromium) load(do func()) string {
	c.t.Helper()
	before := c.loads
	do()
	for c.loads == before {
		c.read()
	}
	return c.evaluate(`document.documentElement.outerHTML`)
}

func (c *chromium) open(url string) string {
	c.t.Helper()
	return c.load(func() { c.do("Page.navigate", map[string]any{"url": url}, nil) })
}

// press clicks what a selector finds, and returns the page that comes of it.
func (c *chromium) press(selector string) string {
	c.t.Helper()
	return c.load(func() {
		c.evaluate(`(() => { document.querySelector(` + quote(selector) + `).click(); return "" })()`)
	})
}

// fill types text into a field.
func (c *chromium) fill(selector, text string) {
	c.t.Helper()
	c.evaluate(`document.querySelector(` + quote(selector) + `).value = ` + quote(text))
}

func quote(text string) string {
	quoted, err := json.Marshal(text)
	if err != nil {
		return `""` // cannot happen: it is a string
	}
	return string(quoted)
}

// evaluate returns the string that an expression is.
func (c *chromium) evaluate(expression string) string {
	c.t.Helper()
	var answer struct {
		Result           struct{ Value string }
		ExceptionDetails json.RawMessage
	}
	c.do("Runtime.evaluate", map[string]any{"expression": expression}, &answer)
	if answer.ExceptionDetails != nil {
		c.t.Fatalf("%s: %s", expression, answer.ExceptionDetails)
	}
	return answer.Result.Value
}

// colours is how many there are in a picture of the page: a page whose style was
// refused has few, and one that is not drawn has one.
func (c *chromium) colours() int {
	c.t.Helper()
	var picture struct{ Data []byte }
	c.do("Page.captureScreenshot", map[string]any{"format": "png"}, &picture)
	if file := os.Getenv("SCREENSHOT"); file != "" {
		os.WriteFile(file, picture.Data, 0o600) // for who wants to see it
	}
	drawn, err := png.Decode(bytes.NewReader(picture.Data))
	if err != nil {
		c.t.Fatal(err)
	}
	seen := make(map[[3]uint32]bool)
	for y := 0; y < drawn.Bounds().Dy(); y += 3 {
		for x := 0; x < drawn.Bounds().Dx(); x += 3 {
			r, g, b, _ := drawn.At(x, y).RGBA()
			seen[[3]uint32{r, g, b}] = true
		}
	}
	return len(seen)
}

// state is what a page says of a node.
func state(page, node string) string {
	_, rest, found := strings.Cut(page, `data-name="`+node+`" data-up="`)
	up, _, _ := strings.Cut(rest, `"`)
	switch {
	case !found:
		return "not shown"
	case up == "true":
		return "up"
	}
	return "down"
}

// A visitor with a real browser stops the session's node with the button of the
// page, and the session goes on; the admin page shows the node as down, and has a
// setting changed by its own form.
func TestInABrowser(t *testing.T) {
	c := startChromium(t)
	s := startDemo(t, config{})
	first := readPage(t, c.open(s.url()))
	if first.visits != 1 || len(first.copies) != 2 {
		t.Errorf("the first visit is %+v, want visit 1 with two copies", first)
	}
	if n := c.colours(); n < 10 {
		t.Errorf("the page has %d colours", n)
	}
	for _, node := range []string{"n1", "n2"} {
		if got := state(c.open(s.url()+"admin/app1"), node); got != "up" {
			t.Errorf("%s is %s on the admin page, want up", node, got)
		}
	}
	if n := c.colours(); n < 10 {
		t.Errorf("the admin page has %d colours: was its style refused?", n)
	}

	before := readPage(t, c.open(s.url()))
	if before.base != first.base || before.visits != 2 {
		t.Errorf("a look at the admin page later the visit is %+v, want the second of %s", before, first.base)
	}
	page := c.press(`button[aria-label="stop ` + before.node + `"]`)
	after := readPage(t, page)
	if after.base != first.base || after.visits != 3 || after.node == before.node || after.created != first.created {
		t.Errorf("with %s stopped the visit is %+v, want the third of %s on the other node", before.node, after, first.base)
	}
	if got := state(page, before.node); got != "down" {
		t.Errorf("%s is %s on the page, want down", before.node, got)
	}
	if got := state(c.open(s.url()+"admin/"+after.instance), before.node); got != "down" {
		t.Errorf("%s is %s on the admin page of %s, want down", before.node, got, after.instance)
	}

	c.fill(`#OperationTimeout`, "750ms")
	page = c.press(`button[aria-label="Change OperationTimeout"]`)
	if want := `name="OperationTimeout" value="750ms"`; !strings.Contains(page, want) {
		t.Errorf("after the change the admin page lacks %s:\n%s", want, page)
	}
	c.open(s.url())
	again := readPage(t, c.press(`button[aria-label="start `+before.node+`"]`))
	if again.base != first.base || again.visits != 5 {
		t.Errorf("with %s back the visit is %+v, want the fifth of %s", before.node, again, first.base)
	}
}
