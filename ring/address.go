package ring

import (
	"errors"
	"fmt"
	"net/netip"
	"path"
	"strconv"
	"strings"
	"unicode"
)

// address is a Node's Addr, taken apart.
type address struct {
	host string     // as written, an IPv6 address without its brackets; of a socket, its path
	port string     // decimal without leading zeros; "" for a socket
	ip6  netip.Addr // the zero Addr unless host is an IPv6 address
}

func (a address) isSocket() bool { return a.port == "" }

// key is equal for different spellings of one address.
func (a address) key() string {
	if a.isSocket() {
		return path.Clean(a.host)
	}
	host := strings.ToLower(a.host)
	if ip, err := netip.ParseAddr(a.host); err == nil {
		host = ip.Unmap().String()
	}
	return host + " " + a.port
}

// parseAddress reads "host:port", "[ipv6]:port" or an absolute path.
func parseAddress(s string) (address, error) {
	switch {
	case s == "":
		return address{}, errors.New("the address is empty; write host:port or the path of a socket")
	case strings.HasPrefix(s, "//"):
		return address{}, fmt.Errorf("address %q is part of a URL; write host:port without a scheme", s)
	case s[0] == '/':
		return address{host: s}, checkPath(s)
	}
	colon := strings.LastIndexByte(s, ':')
	if colon < 0 || strings.HasSuffix(s, "]") {
		return address{}, fmt.Errorf("address %q has no port; write host:port, usually host:11211", s)
	}
	a := address{host: s[:colon], port: s[colon+1:]}
	if err := checkPort(a.port); err != nil {
		return address{}, err
	}
	if !strings.HasPrefix(a.host, "[") {
		return a, checkHost(a.host)
	}
	inner, closed := strings.CutSuffix(a.host[1:], "]")
	ip, err := netip.ParseAddr(inner)
	if !closed || err != nil || !ip.Is6() {
		return address{}, fmt.Errorf("%q is no IPv6 address in brackets; only those stand in brackets, as in [::1]:11211", a.host)
	}
	a.host, a.ip6 = inner, ip
	return a, nil
}

// checkPort refuses what is no port, and spellings such as 011211 and +11211:
// the strategies that hash addresses would take them for other servers.
func checkPort(port string) error {
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || port[0] == '0' {
		return fmt.Errorf("port %q is not a number from 1 to 65535; write host:port or id:host:port", port)
	}
	return nil
}

// checkHost refuses what no host name can be, above all what shows that
// something else was meant: host:port:weight, or an IPv6 address as it is.
// Numbers and dots must be an IPv4 address, because some resolvers read
// 010.0.0.1 as 8.0.0.1, and 127.1 as 127.0.0.1.
func checkHost(host string) error {
	if host == "" {
		return errors.New("the host is empty; write host:port, as in localhost:11211")
	}
	numeric := true
	for _, c := range host {
		switch {
		case c == ':':
			return fmt.Errorf("host %q has a colon; put IPv6 addresses in brackets, as in [::1]:11211, and a comma or a blank between nodes", host)
		case !isLetterOrDigit(c) && c != '.' && c != '-' && c != '_':
			return fmt.Errorf("host %q has %q; write an ASCII host name, an IPv4 address or an IPv6 address in brackets", host, c)
		}
		numeric = numeric && (c == '.' || '0' <= c && c <= '9')
	}
	if _, err := netip.ParseAddr(host); numeric && err != nil {
		return fmt.Errorf("host %q is not an IPv4 address, as 10.0.0.1 is; the order is id:host:port", host)
	}
	return nil
}

// checkPath refuses control characters, which no path in a configuration has.
func checkPath(socket string) error {
	for _, c := range socket {
		if unicode.IsControl(c) {
			return fmt.Errorf("path %q has a control character; remove it", socket)
		}
	}
	return nil
}

func isLetterOrDigit(c rune) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
