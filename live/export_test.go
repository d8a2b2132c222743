package live

// DecodeMessage lets the fuzzer at the decoder of what browsers send.
func DecodeMessage(b []byte, limit int) (action string, err error) {
	m, err := decodeMessage(b, limit)
	return m.Action, err
}
