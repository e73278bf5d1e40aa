package msm_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"

	"github.com/seed99545744/msm/memcache/memcachetest"
	"github.com/seed99545744/msm/msm"
)

// startNodes stands for two memcached servers: it returns the list of them for
// Config.MemcachedNodes.
func startNodes() (nodes string, stop func()) {
	n1, n2 := memcachetest.NewServer(), memcachetest.NewServer()
	return "n1:" + n1.Addr() + ",n2:" + n2.Addr(), func() { n1.Close(); n2.Close() }
}

// visitor is a browser of one person, which keeps its cookies.
type visitor struct {
	client *http.Client
	site   string
}

func newVisitor(client *http.Client, site string) *visitor {
	own := *client
	own.Jar, _ = cookiejar.New(nil) // never fails without options
	return &visitor{&own, site}
}

// get returns the page at path.
func (v *visitor) get(path string) string { return read(v.client.Get(v.site + path)) }

// post sends a form with one field, and returns the page that comes back.
func (v *visitor) post(path, field, value string) string {
	return read(v.client.PostForm(v.site+path, url.Values{field: {value}}))
}

// thief is somebody else who has learned of the visitor's cookies.
func (v *visitor) thief() *visitor {
	site, _ := url.Parse(v.site)
	thief := newVisitor(v.client, v.site)
	thief.client.Jar.SetCookies(site, v.client.Jar.Cookies(site))
	return thief
}

func read(resp *http.Response, err error) string {
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		log.Fatal(err)
	}
	return strings.TrimSpace(string(body))
}

// A net/http server with sessions on two nodes, from its start to its end.
func Example() {
	nodes, stop := startNodes() // in your program "n1:10.0.0.1:11211,n2:10.0.0.2:11211"
	defer stop()

	manager, err := msm.New(msm.Config{
		MemcachedNodes: nodes,
		NonSticky:      true,                       // any instance serves any request
		Cookie:         msm.Cookie{Insecure: true}, // for plain HTTP: leave it out behind TLS
	})
	if err != nil {
		log.Fatal(err)
	}

	mux := http.NewServeMux()
	mux.HandleFunc("POST /name", func(w http.ResponseWriter, r *http.Request) {
		if err := msm.From(r.Context()).Set("name", r.FormValue("name")); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		http.Redirect(w, r, "/", http.StatusSeeOther)
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		var name string
		switch found, err := msm.From(r.Context()).Get("name", &name); {
		case err != nil:
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		case !found:
			fmt.Fprintln(w, "Who are you?")
		default:
			fmt.Fprintf(w, "Hello, %s!\n", name)
		}
	})

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Handler: manager.Handler(mux)}
	go server.Serve(listener) // ends with Shutdown

	ann := newVisitor(http.DefaultClient, "http://"+listener.Addr().String())
	fmt.Println(ann.get("/"))
	fmt.Println(ann.post("/name", "name", "Ann"))
	fmt.Println(ann.get("/"))

	// The server first: its last requests still have their sessions.
	ctx := context.Background()
	if err := server.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
	if err := manager.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// Who are you?
	// Hello, Ann!
	// Hello, Ann!
}

// Login and logout. Whoever knows the id from before the login, having planted or
// seen it, has nothing.
func ExampleSession_Renew() {
	nodes, stop := startNodes()
	defer stop()
	manager, err := msm.New(msm.Config{MemcachedNodes: nodes})
	if err != nil {
		log.Fatal(err)
	}
	defer manager.Shutdown(context.Background())

	var (
		user   = msm.NewKey[string]("user")
		basket = msm.NewKey[string]("basket")
	)
	unavailable := func(w http.ResponseWriter, err error) bool {
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
		return err != nil
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /basket", func(w http.ResponseWriter, r *http.Request) {
		unavailable(w, basket.Set(msm.From(r.Context()), r.FormValue("item")))
	})
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		s := msm.From(r.Context())
		// The new id first: should that fail, nobody is logged in.
		if unavailable(w, s.Renew()) || unavailable(w, user.Set(s, r.FormValue("user"))) {
			return
		}
		fmt.Fprintln(w, "welcome")
	})
	mux.HandleFunc("POST /logout", func(w http.ResponseWriter, r *http.Request) {
		if !unavailable(w, msm.From(r.Context()).Invalidate()) {
			fmt.Fprintln(w, "goodbye")
		}
	})
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		s := msm.From(r.Context())
		who, _, err1 := user.Get(s)
		what, _, err2 := basket.Get(s)
		if unavailable(w, err1) || unavailable(w, err2) {
			return
		}
		fmt.Fprintf(w, "user %q, basket %q\n", who, what)
	})
	site := httptest.NewTLSServer(manager.Handler(mux))
	defer site.Close()

	ann := newVisitor(site.Client(), site.URL)
	ann.post("/basket", "item", "apple")
	thief := ann.thief()
	fmt.Println("a thief has: ", thief.get("/"))
	fmt.Println(ann.post("/login", "user", "ann"))
	fmt.Println("ann has:     ", ann.get("/"))
	fmt.Println("the thief:   ", thief.get("/"))
	thief = ann.thief()
	fmt.Println(ann.post("/logout", "", ""))
	fmt.Println("another one: ", thief.get("/"))
	// Output:
	// a thief has:  user "", basket "apple"
	// welcome
	// ann has:      user "ann", basket "apple"
	// the thief:    user "", basket ""
	// goodbye
	// another one:  user "", basket ""
}

// cart is a value of the application's own: with the default Transcoder it is
// stored as JSON.
type cart struct {
	Items map[string]int `json:"items"`
}

// An attribute with a type. However many requests of a session put something
// into its cart at once, on however many instances, all of it is there in the
// end, without a lock.
func ExampleKey_Update() {
	nodes, stop := startNodes()
	defer stop()
	manager, err := msm.New(msm.Config{MemcachedNodes: nodes, NonSticky: true})
	if err != nil {
		log.Fatal(err)
	}
	defer manager.Shutdown(context.Background())

	carts := msm.NewKey[cart]("cart")
	mux := http.NewServeMux()
	mux.HandleFunc("POST /cart", func(w http.ResponseWriter, r *http.Request) {
		item := r.FormValue("item")
		err := carts.Update(msm.From(r.Context()), func(c cart, _ bool) (cart, error) {
			if c.Items == nil {
				c.Items = make(map[string]int)
			}
			c.Items[item]++
			return c, nil
		})
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("GET /cart", func(w http.ResponseWriter, r *http.Request) {
		c, _, err := carts.Get(msm.From(r.Context()))
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, c.Items)
	})
	site := httptest.NewTLSServer(manager.Handler(mux))
	defer site.Close()

	ann := newVisitor(site.Client(), site.URL)
	ann.post("/cart", "item", "apple")
	var tabs sync.WaitGroup
	for range 5 {
		tabs.Go(func() { ann.post("/cart", "item", "apple") })
		tabs.Go(func() { ann.post("/cart", "item", "pear") })
	}
	tabs.Wait()
	fmt.Println(ann.get("/cart"))
	// Output: map[apple:6 pear:5]
}

// Server-sent events: a response that goes on for as long as the page is open.
// Save stores what other requests are to see meanwhile, and what a browser that
// connects again goes on from.
func ExampleSession_Save() {
	nodes, stop := startNodes()
	defer stop()
	manager, err := msm.New(msm.Config{MemcachedNodes: nodes})
	if err != nil {
		log.Fatal(err)
	}
	defer manager.Shutdown(context.Background())

	news := make(chan string)
	heard := msm.NewKey[int]("heard")
	mux := http.NewServeMux()
	mux.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		s, response := msm.From(r.Context()), http.NewResponseController(w)
		for {
			select {
			case <-r.Context().Done():
				return
			case text := <-news:
				err := heard.Update(s, func(n int, _ bool) (int, error) { return n + 1, nil })
				if err == nil {
					err = s.Save(r.Context())
				}
				if err != nil {
					return // the browser connects again
				}
				fmt.Fprintf(w, "data: %s\n\n", text)
				response.Flush() // the first one sends the header, with the cookie
			}
		}
	})
	mux.HandleFunc("GET /heard", func(w http.ResponseWriter, r *http.Request) {
		n, _, err := heard.Get(msm.From(r.Context()))
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, n)
	})
	site := httptest.NewTLSServer(manager.Handler(mux))
	defer site.Close()

	go func() { // ends when both are heard
		news <- "rain"
		news <- "sun"
	}()
	ann := newVisitor(site.Client(), site.URL)
	stream, err := ann.client.Get(site.URL + "/events")
	if err != nil {
		log.Fatal(err)
	}
	lines := bufio.NewScanner(stream.Body)
	for n := 0; n < 2 && lines.Scan(); {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			fmt.Println(data)
			n++
		}
	}
	fmt.Println("heard:", ann.get("/heard"))
	stream.Body.Close()
	// Output:
	// rain
	// sun
	// heard: 2
}
