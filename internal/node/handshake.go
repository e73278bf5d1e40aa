package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/seed99545744/msm/internal/mux"
	"github.com/seed99545744/msm/internal/proto"
)

// dialect is what a connection turned out to speak.
type dialect struct {
	codec proto.Codec
	lacks bool // codec lacks some of what the Node's codec has
}

// codec returns the codec of the protocol, for Text that with the most abilities.
func (cfg *Config) codec() proto.Codec {
	switch cfg.Protocol {
	case Binary:
		return proto.Binary{MaxValue: cfg.MaxValue}
	case Meta:
		return proto.Meta{MaxValue: cfg.MaxValue}
	case Text:
		return proto.Text{MaxValue: cfg.MaxValue}
	}
	return cfg.classic()
}

func (cfg *Config) classic() proto.Classic { return proto.Classic{MaxValue: cfg.MaxValue} }

// open makes a connection that is ready for requests.
func (n *Node) open(ctx context.Context) (*mux.Conn, dialect, error) {
	nc, err := n.dialNet(ctx)
	if err != nil {
		return nil, dialect{}, err
	}
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	d, err := n.shakeHands(nc)
	if !stop() {
		err = fmt.Errorf("handshake: %w", context.Cause(ctx)) // and nc is closed
	}
	if err != nil {
		nc.Close()
		return nil, dialect{}, err
	}
	_, strict := d.codec.(proto.Classic)
	return mux.New(nc, mux.Config{Codec: d.codec, Timeout: n.cfg.Timeout, Tally: &n.answers, Strict: strict}), d, nil
}

// dialNet connects, and secures the connection if TLS is wanted.
func (n *Node) dialNet(ctx context.Context) (net.Conn, error) {
	network := "tcp"
	if strings.HasPrefix(n.cfg.Addr, "/") {
		network = "unix"
	}
	nc, err := n.cfg.DialContext(ctx, network, n.cfg.Addr)
	if err != nil || n.cfg.TLS == nil {
		return nc, err
	}
	cfg := n.cfg.TLS
	if cfg.ServerName == "" && network == "tcp" {
		cfg = cfg.Clone()
		if cfg.ServerName, _, err = net.SplitHostPort(n.cfg.Addr); err != nil {
			nc.Close()
			return nil, err
		}
	}
	tc := tls.Client(nc, cfg)
	if err := tc.HandshakeContext(ctx); err != nil {
		nc.Close()
		return nil, err
	}
	return tc, nil
}

// shakeHands logs in and finds out what the server speaks. A round trip is made
// in any case: a kernel accepts connections also for a server that hangs.
func (n *Node) shakeHands(nc net.Conn) (dialect, error) {
	d := dialect{codec: n.codec}
	line := proto.Codec(n.cfg.classic())
	if n.cfg.Protocol == Binary {
		line = d.codec
		if n.cfg.Username != "" {
			if err := n.logIn(nc, line); err != nil {
				return d, err
			}
		}
	}
	rep, err := exchange(nc, line, &proto.Request{Op: proto.OpVersion})
	// A server that wants no credentials would store them as an item that
	// everybody can read: they are sent only when it asks for them.
	if err == nil && rep.Status == proto.StatusAuth && n.cfg.Username != "" {
		if err := n.logIn(nc, line); err != nil {
			return d, err
		}
		rep, err = exchange(nc, line, &proto.Request{Op: proto.OpVersion})
	}
	switch {
	case err != nil:
		return d, fmt.Errorf("handshake: %w", err)
	case rep.Status == proto.StatusAuth:
		return d, fmt.Errorf("%w: the server says %q; set Username and Password", ErrAuth, rep.Line)
	case rep.Status != proto.StatusOK:
		return d, fmt.Errorf("handshake: the server says %q", rep.Line)
	}
	if n.cfg.Protocol == Text && !hasMeta(rep.Line) {
		d.codec, d.lacks = line, true
	}
	return d, nil
}

// logIn sends the credentials.
func (n *Node) logIn(nc net.Conn, codec proto.Codec) error {
	rep, err := exchange(nc, codec, &proto.Request{Op: proto.OpAuth, Key: n.cfg.Username, Value: []byte(n.cfg.Password)})
	switch {
	case err != nil:
		return fmt.Errorf("authentication: %w", err)
	case rep.Status != proto.StatusOK:
		return fmt.Errorf("%w: the server says %q to the Username and Password", ErrAuth, rep.Line)
	}
	return nil
}

// exchange sends one request and reads its reply, which has no value, on a
// connection that nobody else uses yet. Its bound is that nc gets closed.
func exchange(nc net.Conn, codec proto.Codec, req *proto.Request) (*proto.Reply, error) {
	req.Opaque = 1
	if _, err := nc.Write(codec.AppendRequest(nil, req)); err != nil {
		return nil, err
	}
	rep := new(proto.Reply)
	var buf [proto.MaxHead]byte
	r, w := 0, 0
	for {
		n, step, err := codec.Parse(buf[r:w], req, rep)
		r += n
		switch {
		case err != nil:
			return nil, err
		case step == proto.StepDone && r == w:
			return rep, nil
		case step != proto.StepMore || w == len(buf):
			return nil, fmt.Errorf("%w: more than the answer to the first request", proto.ErrProtocol)
		}
		m, err := nc.Read(buf[w:])
		w += m
		if m == 0 && err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
}

// hasMeta tells whether a server of that version has meta commands as this
// client needs them: before 1.6.18 a miss carries no opaque. Servers that are
// not memcached, and proxies, say something odd, and get classic commands.
func hasMeta(version string) bool {
	version, _, _ = strings.Cut(version, "-") // 1.6.21-12-gabcdef is a build from git
	var numbers []uint64
	for part := range strings.SplitSeq(version, ".") {
		n, err := strconv.ParseUint(part, 10, 16)
		if err != nil {
			return false
		}
		numbers = append(numbers, n)
	}
	return len(numbers) == 3 && slices.Compare(numbers, []uint64{1, 6, 18}) >= 0
}
