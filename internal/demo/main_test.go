package main

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestFlags(t *testing.T) {
	tests := []struct {
		args string
		want config
	}{
		{"", config{addr: "127.0.0.1:8080"}},
		{"-nonsticky", config{addr: "127.0.0.1:8080", nonSticky: true}},
		{"-locking all", config{addr: "127.0.0.1:8080", nonSticky: true, locking: "all"}},
		{"-addr :1 -nodes n1:h:2", config{addr: ":1", nodes: "n1:h:2"}},
		{"-context a.xml", config{addr: "127.0.0.1:8080", context: "a.xml"}},
	}
	for _, tt := range tests {
		if got, err := parseFlags(strings.Fields(tt.args), io.Discard); err != nil || got != tt.want {
			t.Errorf("%q: %+v, %v; want %+v", tt.args, got, err, tt.want)
		}
	}
}

// What cannot work is said at once, and what was started is ended.
func TestBadStart(t *testing.T) {
	tests := []struct {
		args, want string // in the error
	}{
		{"-addr 127.0.0.1:notaport", "-addr"},
		{"-nodes n1", "-nodes"},
		{"-locking sometimes", "LockingMode"},
		{"stray", "-h lists them"},
		{"-context testdata/none.xml", "none.xml"},
		{"-context main.go", "main.go: tomcat: "},
		{"-context a.xml -nonsticky", "leave out -nonsticky"},
	}
	for _, tt := range tests {
		err := run(context.Background(), strings.Fields(tt.args), io.Discard)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", tt.args, err, tt.want)
		}
	}
}

func TestHelp(t *testing.T) {
	var out strings.Builder
	if err := run(context.Background(), []string{"-h"}, &out); err != nil {
		t.Fatal(err)
	}
	for _, flag := range []string{"-addr", "-nodes", "-context", "-nonsticky", "-locking"} {
		if !strings.Contains(out.String(), flag) {
			t.Errorf("-h does not tell of %s:\n%s", flag, out.String())
		}
	}
}

// Ctrl-C: the program ends cleanly, soon, and its port is free again.
func TestRunEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	printed, out := io.Pipe()
	ended := make(chan error, 1)
	// Ends after cancel, which the test calls.
	go func() {
		ended <- run(ctx, []string{"-addr", "127.0.0.1:0"}, out)
		out.Close()
	}()
	line := make([]byte, 200)
	n, err := printed.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(line[:n]), "Open ")
	address, _, _ := strings.Cut(rest, " ")
	resp, err := http.Get(address)
	if err != nil {
		t.Fatalf("the address that was printed, %q: %v", line[:n], err)
	}
	resp.Body.Close()
	cancel()
	go io.Copy(io.Discard, printed) // ends when run has returned
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the program goes on after Ctrl-C")
	}
	if resp, err := http.Get(address); err == nil {
		resp.Body.Close()
		t.Errorf("%s still answers", address)
	}
}
