package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/seed99545744/msm/msm"
	"github.com/seed99545744/msm/ring"
)

// system is everything that runs: nodes, instances, and the proxy in front.
type system struct {
	config    config
	msm       msm.Config // what all instances have in common
	external  string     // the nodes in msm's grammar, if they are not of this process
	nodes     []*node
	instances []*instance

	listener net.Listener
	front    *http.Server
	served   chan struct{} // closed when front has ended
}

// start brings everything up and listens on c.addr.
func start(c config) (*system, error) {
	s := &system{config: c, served: make(chan struct{})}
	err := s.configure()
	if err == nil {
		err = s.startNodes()
	}
	if err != nil {
		return nil, errors.Join(err, s.close(context.Background()))
	}
	for _, name := range []string{"app1", "app2"} {
		i := &instance{name: name, system: s}
		s.instances = append(s.instances, i)
		if err := i.start(); err != nil {
			return nil, errors.Join(err, s.close(context.Background()))
		}
	}
	if s.listener, err = net.Listen("tcp", c.addr); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: choose another address with -addr, 127.0.0.1:0 for any free port", err),
			s.close(context.Background()))
	}
	s.front = &http.Server{Handler: s.frontHandler(), ReadHeaderTimeout: headerTimeout}
	// Ends when close shuts the server down; close waits for it.
	go func() {
		defer close(s.served)
		s.front.Serve(s.listener)
	}()
	return s, nil
}

// startNodes uses the servers of -nodes, or those of -context if one of them
// answers; otherwise it starts nodes in this process, with their ids.
func (s *system) startNodes() error {
	list := cmp.Or(s.config.nodes, s.msm.MemcachedNodes)
	if list == "" {
		return s.startOwnNodes("n1", "n2")
	}
	nodes, err := ring.ParseNodes(list)
	if err != nil {
		return fmt.Errorf("-nodes or -context: %w", err)
	}
	if s.config.nodes != "" || slices.ContainsFunc(nodes, func(n ring.Node) bool { return answers(n.Addr) }) {
		s.external = list
		for _, n := range nodes {
			s.nodes = append(s.nodes, &node{id: n.ID, addr: n.Addr, external: true})
		}
		return nil
	}
	var ids []string
	for _, n := range nodes {
		if n.ID == n.Addr {
			n.ID = "n1" // the only one, which needs no id
		}
		ids = append(ids, n.ID)
	}
	return s.startOwnNodes(ids...)
}

func (s *system) startOwnNodes(ids ...string) error {
	for _, id := range ids {
		n := &node{id: id}
		if err := n.start(); err != nil {
			return err
		}
		s.nodes = append(s.nodes, n)
	}
	return nil
}

// memcachedNodes is the nodes in msm's grammar.
func (s *system) memcachedNodes() string {
	if s.external != "" {
		return s.external
	}
	var parts []string
	for _, n := range s.nodes {
		parts = append(parts, n.id+":"+n.addr)
	}
	return strings.Join(parts, ",")
}

func (s *system) url() string { return "http://" + s.listener.Addr().String() + "/" }

// close ends everything, in the order in which requests come in.
func (s *system) close(ctx context.Context) error {
	var errs []error
	if s.front != nil {
		errs = append(errs, s.front.Shutdown(ctx))
		<-s.served
	}
	for _, i := range s.instances {
		errs = append(errs, i.stop(ctx))
	}
	for _, n := range s.nodes {
		n.stop()
	}
	return errors.Join(errs...)
}
