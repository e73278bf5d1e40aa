// Demo shows sessions that survive: memcached nodes, application instances and
// a proxy in one process, and a page whose buttons stop and start them.
//
//	go run ./internal/demo
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process the hard way
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// config is what the flags say.
type config struct {
	addr      string // of the proxy
	nodes     string // memcached servers, in the grammar of ring.ParseNodes; "" means two in this process
	context   string // a file of Tomcat that says how sessions are kept; "" means none
	nonSticky bool
	locking   string // locking mode; implies nonSticky
	logger    *slog.Logger
}

const usage = `Demo starts two memcached nodes, two application instances and a proxy that sends
requests to the instances in turn, all in this process. Open the address that it
prints, stop nodes and instances with the buttons, and watch the counter go on.

`

func parseFlags(args []string, output io.Writer) (config, error) {
	var c config
	fs := flag.NewFlagSet("demo", flag.ContinueOnError)
	fs.SetOutput(output)
	fs.Usage = func() {
		fmt.Fprint(output, usage)
		fs.PrintDefaults()
	}
	fs.StringVar(&c.addr, "addr", "127.0.0.1:8080", "`address` that the proxy listens on; port 0 picks a free one")
	fs.StringVar(&c.nodes, "nodes", "", "real memcached `servers` instead of the two in this process: n1:host:port,n2:host:port")
	fs.StringVar(&c.context, "context", "", "context.xml or server.xml of Tomcat, a `file` whose memcached-session-manager is the configuration;\n"+
		"nodes in this process take the place of its nodes unless one of those answers")
	fs.BoolVar(&c.nonSticky, "nonsticky", false, "keep sessions in memcached alone, not in the instances' memory")
	fs.StringVar(&c.locking, "locking", "", "locking `mode`: none, all, auto or uriPattern:<regexp>; implies -nonsticky")
	if err := fs.Parse(args); err != nil {
		return c, err
	}
	if fs.NArg() > 0 {
		return c, fmt.Errorf("what is %q? All is said with flags; -h lists them", fs.Arg(0))
	}
	c.nonSticky = c.nonSticky || c.locking != ""
	if c.context != "" && c.nonSticky {
		return c, errors.New("-context says how sessions are kept: leave out -nonsticky and -locking")
	}
	return c, nil
}

// run is the program; it returns when ctx is cancelled.
func run(ctx context.Context, args []string, out io.Writer) error {
	c, err := parseFlags(args, out)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	c.logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
	s, err := start(c)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "Open %s (Ctrl-C ends it)\n", s.url())
	<-ctx.Done()
	fmt.Fprintln(out, "\nending")
	bounded, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return s.close(bounded)
}
