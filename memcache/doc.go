// Package memcache is a client for memcached servers.
//
// A [Client] keeps a few connections to every node and shares them among all
// callers: requests of goroutines that run at the same time leave in one system
// call, and a goroutine alone pays no more than with a connection of its own. A
// caller that gives up, because its ctx ends or [Config.Timeout] is over,
// returns at once and disturbs nobody.
//
//	c, err := memcache.New(memcache.Config{Nodes: "n1:10.0.0.1:11211,n2:10.0.0.2:11211"})
//	if err != nil {
//		return err
//	}
//	defer c.Close()
//	err = c.Set(ctx, &memcache.Item{Key: "greeting", Value: []byte("hello"), TTL: time.Hour})
//
// # Errors
//
// Outcomes that a caller decides on are sentinels, returned bare: [ErrMiss],
// [ErrNotStored], [ErrCASConflict], [ErrNotNumber]. A failure of a server comes
// as an [*OpError], which says which operation failed at which node and, through
// errors.Is and errors.As, why: [ErrNodeDown], context.Canceled,
// context.DeadlineExceeded (also when Config.Timeout is over), [*ServerError] and
// so on. Operations over many keys or nodes return a [*MultiError].
//
// When a store fails with anything but ErrNodeDown and what is refused before a
// byte is sent, it may have happened all the same.
//
// # Keys
//
// A key is 1 to 250 bytes, none of them a blank or a control character (0x00 to
// 0x20, 0x7f), in every protocol alike; anything else is [ErrKey]. Keys appear in
// no error text, log line, or [Operation].
//
// # Nodes that are down
//
// The first refused connection, or the first connection on which nothing moves
// for Config.Timeout, makes a node down: its operations fail at once with
// ErrNodeDown, while probes, made when operations come, look for its return
// (after 20 ms, then less and less often, every 5 s at last). Reads (Get,
// GetInto, GetMulti, GetAndTouch, HeadAndTouch, Ping, Version) whose connection
// died are repeated once over a new one, and so is whatever was not sent yet;
// nothing is repeated after a timeout. With [NextNode] operations of a node that is
// down go to the next one.
//
// # Compare and swap
//
// An [Item] remembers where its CAS was read. Servers count from the start again
// when they are restarted, so a number from before may by chance be that of
// another value: [Client.CompareAndSwap] and [Client.CompareAndDelete] return
// [ErrCASConflict], and send nothing, when no connection is left that vouches for
// the server, or when the key belongs to another node by now, or when the Item was
// read by another Client. Read again, as after any conflict. A CAS that was set by
// hand in an Item of one's own is sent unchecked.
package memcache
