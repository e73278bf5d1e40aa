package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed99545744/msm/memcache"
	"github.com/seed99545744/msm/memcache/memcachetest"
	"github.com/seed99545744/msm/msm"
)

// memcacheQuickStart is that of README.md.
func memcacheQuickStart(ctx context.Context, nodes string) error {
	client, err := memcache.New(memcache.Config{Nodes: nodes})
	if err != nil {
		return err
	}
	defer client.Close()

	err = client.Set(ctx, &memcache.Item{Key: "greeting", Value: []byte("hello"), TTL: time.Hour})
	if err != nil {
		return err
	}
	item, err := client.Get(ctx, "greeting")
	switch {
	case errors.Is(err, memcache.ErrMiss):
		// not there
	case errors.Is(err, memcache.ErrNodeDown):
		// its node is known to be down; nothing was sent
	case err != nil:
		return err // *memcache.OpError says which node and what
	default:
		fmt.Println(string(item.Value))
	}
	return nil
}

// msmQuickStart is that of README.md.
func msmQuickStart(nodes string, serve func(addr string, h http.Handler) error) error {
	manager, err := msm.New(msm.Config{
		MemcachedNodes: nodes,
		Route:          "app1", // this instance's name
	})
	if err != nil {
		return err
	}
	defer manager.Shutdown(context.Background()) // stores what is not stored yet

	visits := msm.NewKey[int]("visits")
	count := func(w http.ResponseWriter, r *http.Request) {
		session := msm.From(r.Context())
		err := visits.Update(session, func(n int, _ bool) (int, error) { return n + 1, nil })
		n := 0
		if err == nil {
			n, _, err = visits.Get(session)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintf(w, "visit %d\n", n)
	}
	return serve(":8080", manager.Handler(http.HandlerFunc(count)))
}

// Two nodes, and a browser that keeps its cookies.
func Example_msm() {
	n1, n2 := memcachetest.NewServer(), memcachetest.NewServer()
	defer n1.Close()
	defer n2.Close()
	err := msmQuickStart("n1:"+n1.Addr()+",n2:"+n2.Addr(), func(_ string, h http.Handler) error {
		site := httptest.NewTLSServer(h)
		defer site.Close()
		browser := site.Client()
		var err error
		if browser.Jar, err = cookiejar.New(nil); err != nil {
			return err
		}
		for range 3 {
			resp, err := browser.Get(site.URL)
			if err != nil {
				return err
			}
			io.Copy(os.Stdout, resp.Body)
			resp.Body.Close()
		}
		return nil
	})
	fmt.Println(err)
	// Output:
	// visit 1
	// visit 2
	// visit 3
	// <nil>
}

func Example_memcache() {
	server := memcachetest.NewServer()
	defer server.Close()
	fmt.Println(memcacheQuickStart(context.Background(), "n1:"+server.Addr()))
	// Output:
	// hello
	// <nil>
}

// The Go code of README.md is that of the quick starts above, which run as
// examples: all but the addresses, and what serves.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	here, err := os.ReadFile("readme_test.go")
	if err != nil {
		t.Fatal(err)
	}
	standIns := strings.NewReplacer(
		`"n1:10.0.0.1:11211,n2:10.0.0.2:11211"`, "nodes",
		"http.ListenAndServe(", "serve(",
	)
	blocks := strings.Split(string(readme), "```go\n")[1:]
	if len(blocks) < 2 {
		t.Errorf("README.md has %d blocks of Go, want the two quick starts", len(blocks))
	}
	for _, block := range blocks {
		block, _, _ = strings.Cut(block, "```")
		var code strings.Builder
		for line := range strings.Lines(standIns.Replace(block)) {
			if line != "\n" {
				code.WriteByte('\t')
			}
			code.WriteString(line)
		}
		if !strings.Contains(string(here), code.String()) {
			t.Errorf("README.md has Go code that stands in no function of readme_test.go, where it would run:\n%s", block)
		}
	}
}
