package msm_test

import (
	"context"
	"crypto/subtle"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"

	"github.com/seed99545744/msm/memcache/memcachetest"
	"github.com/seed99545744/msm/msm"
)

// A node is added while requests run. A mistake changes nothing, and the error
// says what to write.
func ExampleManager_Reconfigure() {
	nodes, stop := startNodes()
	defer stop()
	third := memcachetest.NewServer()
	defer third.Close()
	cfg := msm.Config{MemcachedNodes: nodes, NonSticky: true}
	manager, err := msm.New(cfg)
	if err != nil {
		log.Fatal(err)
	}
	defer manager.Shutdown(context.Background())

	cfg.MemcachedNodes += ",n3:" + third.Addr()
	fmt.Println(manager.Reconfigure(cfg), len(manager.Stats().Nodes))

	cfg.LockingMode = "sometimes"
	fmt.Println(manager.Reconfigure(cfg))
	// Output:
	// <nil> 3
	// msm: Config.LockingMode: "sometimes" is unknown: use none, all, auto or uriPattern:<regular expression>
}

// The admin page behind a password, and a program that changes a setting.
func ExampleManager_AdminHandler() {
	nodes, stop := startNodes()
	defer stop()
	manager, err := msm.New(msm.Config{MemcachedNodes: nodes})
	if err != nil {
		log.Fatal(err)
	}
	defer manager.Shutdown(context.Background())
	mux := http.NewServeMux()
	mux.Handle("/admin/sessions", manager.AdminHandler(func(r *http.Request) bool {
		_, password, _ := r.BasicAuth()
		return subtle.ConstantTimeCompare([]byte(password), []byte("let me in")) == 1
	}))
	site := httptest.NewTLSServer(mux)
	defer site.Close()

	for _, password := range []string{"guess", "let me in"} {
		change := url.Values{"OperationTimeout": {"250ms"}}.Encode()
		r, err := http.NewRequest("POST", site.URL+"/admin/sessions?format=json", strings.NewReader(change))
		if err != nil {
			log.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth("operator", password)
		resp, err := site.Client().Do(r)
		if err != nil {
			log.Fatal(err)
		}
		resp.Body.Close()
		fmt.Println(resp.Status)
	}
	// Output:
	// 403 Forbidden
	// 200 OK
}
