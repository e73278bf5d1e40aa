// Package ring decides which memcached node owns a key.
package ring
