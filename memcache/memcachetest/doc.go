// Package memcachetest is to memcached clients what net/http/httptest is to HTTP
// clients: a memcached in this process, for tests.
//
// [NewServer] starts one on a free port of the loopback interface, [NewMemServer]
// one without sockets, for use in a testing/synctest bubble; [New] has the
// options. It speaks the ASCII protocol, classic and meta commands, and the
// binary protocol, as memcached 1.6.18 does; the first byte of a connection
// decides. Tests compare the two by libmemcached's memccapable, by transcripts
// and by random conversations, which they answer byte by byte alike.
//
// [Server.SetFault] makes a server sick: refusing connections, hanging,
// resetting, late, cut off, repeating itself, failing every command. Closing a
// server and starting another at its address is a memcached that was restarted:
// empty, and with CAS numbers that begin anew. [Server.Get], [Server.Items] and
// [Server.Traffic] show what the code under test did to it.
//
// # What is different
//
//   - An item lives until the moment it expires by time.Now, where memcached
//     counts whole seconds and may drop it up to a second before. A time to live
//     that is asked for is rounded up.
//   - Memory is counted by item, not by slab page, and the item least recently
//     used goes first. Expired items that nobody asks for count until they are
//     evicted.
//   - A connection never waits for its turn, there is no limit to their number,
//     and no idle timeout.
//   - Three accidents of memcached 1.6.18 are left out: an ma that makes the number
//     longer forgets its flag T; a number that gets shorter is not padded with
//     blanks if it was fetched a moment ago; and a delayed flush_all brings back
//     what the one before it removed.
//   - An unknown binary opcode with a body is refused; memcached 1.6 waits for
//     ever.
//   - Statistics are a selection. There are no slabs, crawlers, watchers and
//     prefix statistics, and no UDP.
package memcachetest
