// Package memcachetest is to memcached clients what net/http/httptest is to HTTP
// clients: a memcached in this process, for tests.
//
// [NewServer] starts one on a free port of the loopback interface; [NewMemServer]
// starts one without sockets, for testing/synctest; [New] has the options. It
// speaks the ASCII protocol, classic and meta commands, as memcached 1.6.18
// does. Expiry follows time.Now to the moment, where memcached counts whole
// seconds.
//
// [Server.SetFault] makes a server sick: refusing connections, hanging,
// resetting, late, cut off, repeating itself. Closing a server and starting
// another at its address is a memcached that was restarted.
package memcachetest
