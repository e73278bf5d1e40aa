package main

import (
	"net"
	"net/http"
	"net/netip"
)

// admin shows an instance's admin page. It is served in front of the proxy, so
// that a look at it is nobody's turn.
func (s *system) admin(w http.ResponseWriter, r *http.Request) {
	for _, i := range s.instances {
		if i.name != r.PathValue("instance") {
			continue
		}
		if page := i.adminPage(); page != nil {
			page.ServeHTTP(w, r)
			return
		}
		http.Error(w, i.name+" is stopped: start it on the first page", http.StatusServiceUnavailable)
		return
	}
	http.NotFound(w, r)
}

// adminPage is that of the running instance; nil while it is stopped.
func (i *instance) adminPage() http.Handler {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.addr == "" {
		return nil
	}
	return i.admin
}

// isLocal lets in who sits at this machine, and has asked for it by its name: a
// page of another site that has its name point here has not.
func isLocal(r *http.Request) bool {
	client, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !client.Addr().IsLoopback() {
		return false
	}
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}
