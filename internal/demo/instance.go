package main

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/seed99545744/msm/msm"
)

// headerTimeout bounds how long a client may take to say what it wants.
const headerTimeout = 5 * time.Second

// instance is one application server, with a session manager of its own.
type instance struct {
	name   string // its route
	system *system

	mu      sync.Mutex // guards what follows
	addr    string     // "" while stopped
	server  *http.Server
	served  chan struct{} // closed when server accepts no more
	manager *msm.Manager
	admin   http.Handler
}

// start begins with empty memory, as a new process would.
func (i *instance) start() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.addr != "" {
		return nil
	}
	manager, err := msm.New(i.managerConfig())
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		manager.Shutdown(context.Background())
		return err
	}
	server := &http.Server{Handler: manager.Handler(i.handler()), ReadHeaderTimeout: headerTimeout}
	served := make(chan struct{})
	// Ends when stop closes the server; stop waits for it.
	go func() {
		defer close(served)
		server.Serve(listener)
	}()
	i.addr, i.server, i.served = listener.Addr().String(), server, served
	i.manager, i.admin = manager, manager.AdminHandler(isLocal)
	return nil
}

func (i *instance) managerConfig() msm.Config {
	cfg := i.system.msm
	cfg.MemcachedNodes = i.system.memcachedNodes()
	cfg.Route = i.name
	cfg.Cookie = msm.Cookie{Insecure: true} // the demo has no TLS
	cfg.Logger = i.system.config.logger
	return cfg
}

// stop ends the instance in the middle of whatever it does.
func (i *instance) stop(ctx context.Context) error {
	i.mu.Lock()
	addr, server, served, manager := i.addr, i.server, i.served, i.manager
	i.addr = ""
	i.mu.Unlock()
	if addr == "" {
		return nil
	}
	server.Close()
	<-served
	return manager.Shutdown(ctx)
}

// address returns where the instance listens; "" if it does not.
func (i *instance) address() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.addr
}
