package msm_test

import (
	"context"
	"crypto/subtle"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"

	"github.com/seed99545744/msm/memcache/memcachetest"
	"github.com/seed99545744/msm/msm"
)

// A node is added while requests run. A mistake changes nothing, and the error
// says what to write.
func ExampleManager_Reconfigure() {
	n1, n2, n3 := memcachetest.NewServer(), memcachetest.NewServer(), memcachetest.NewServer()
	defer n1.Close()
	defer n2.Close()
	defer n3.Close()
	cfg := msm.Config{MemcachedNodes: "n1:" + n1.Addr() + ",n2:" + n2.Addr(), NonSticky: true}
	manager, err := msm.New(cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer manager.Shutdown(context.Background())

	cfg.MemcachedNodes += ",n3:" + n3.Addr()
	fmt.Println(manager.Reconfigure(cfg), len(manager.Stats().Nodes))

	cfg.LockingMode = "sometimes"
	fmt.Println(manager.Reconfigure(cfg))
	// Output:
	// <nil> 3
	// msm: Config.LockingMode: "sometimes" is unknown: use none, all, auto or uriPattern:<regular expression>
}

// The admin page behind a password, and a program that changes a setting.
func ExampleManager_AdminHandler() {
	node := memcachetest.NewServer()
	defer node.Close()
	manager, err := msm.New(msm.Config{MemcachedNodes: "n1:" + node.Addr()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer manager.Shutdown(context.Background())
	mux := http.NewServeMux()
	mux.Handle("/admin/sessions", manager.AdminHandler(func(r *http.Request) bool {
		_, password, _ := r.BasicAuth()
		return subtle.ConstantTimeCompare([]byte(password), []byte("let me in")) == 1
	}))
	site := httptest.NewTLSServer(mux)
	defer site.Close()

	change := url.Values{"OperationTimeout": {"250ms"}}
	for _, password := range []string{"guess", "let me in"} {
		target, err := url.Parse(site.URL + "/admin/sessions?format=json")
		if err != nil {
			fmt.Println(err)
			return
		}
		target.User = url.UserPassword("operator", password)
		resp, err := site.Client().PostForm(target.String(), change)
		if err != nil {
			fmt.Println(err)
			return
		}
		resp.Body.Close()
		fmt.Println(resp.Status)
	}
	// Output:
	// 403 Forbidden
	// 200 OK
}
