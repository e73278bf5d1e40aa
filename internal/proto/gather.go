package proto

// AppendKey makes the get of one key, or of several, that ends dst a get of one
// key more. Its reply is that of an OpGetMulti of all of them.
func (c Classic) AppendKey(dst []byte, key string) []byte {
	dst = append(dst[:len(dst)-len("\r\n")], ' ')
	return append(append(dst, key...), "\r\n"...)
}
