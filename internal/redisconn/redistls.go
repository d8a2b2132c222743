package redisconn

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"sync"
)

// maxPassword bounds a password file.
const maxPassword = 4096

// credentials returns what gives user and password to each new connection, or
// nil where the URL does.
func (r *Settings) credentials(t *target) (func(context.Context) (user, password string, err error), error) {
	switch {
	case r.Username != "" && t.user:
		return nil, fmt.Errorf("%w: --redis-username: the URL names a user too", ErrSetting)
	case r.PasswordFile != "" && t.password:
		return nil, fmt.Errorf("%w: --redis-password-file: the URL has a password too", ErrSetting)
	case r.Username == "" && r.PasswordFile == "":
		return nil, nil
	}
	user, password := t.credentials()
	if r.Username != "" {
		user = r.Username
	}
	if r.PasswordFile == "" {
		return func(context.Context) (string, string, error) { return user, password, nil }, nil
	}
	file := &passwordFile{path: r.PasswordFile}
	if _, err := file.read(); err != nil {
		return nil, fmt.Errorf("%w: --redis-password-file: %w", ErrSetting, err)
	}
	return func(context.Context) (string, string, error) {
		password, err := file.read()
		return user, password, err
	}, nil
}

// credentials returns those of the URL.
func (t *target) credentials() (user, password string) {
	switch {
	case t.cluster != nil:
		return t.cluster.Username, t.cluster.Password
	case t.sentinel != nil:
		return t.sentinel.Username, t.sentinel.Password
	}
	return t.single.Username, t.single.Password
}

// passwordFile reads a password each time that it is asked for: for each new
// connection, which is when Redis asks. So after a change the connections that
// are there go on, and those that come have the new one.
type passwordFile struct {
	path string

	mu   sync.Mutex
	last string // for the moment in which somebody replaces the file
}

func (f *passwordFile) read() (string, error) {
	b, err := os.ReadFile(f.path)
	b = bytes.TrimRight(b, "\r\n")
	switch {
	case err != nil:
	case len(b) == 0:
		err = fmt.Errorf("%s is empty", f.path)
	case len(b) > maxPassword:
		err = fmt.Errorf("%s holds more than %d bytes", f.path, maxPassword)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		if f.last != "" {
			return f.last, nil
		}
		return "", err
	}
	f.last = string(b)
	return f.last, nil
}

// tlsConfig returns what the connections' TLS goes by, or nil for a URL without.
func (r *Settings) tlsConfig(t *target) (*tls.Config, error) {
	if !t.tls {
		for flag, value := range map[string]string{"redis-ca": r.CA, "redis-cert": r.Cert, "redis-key": r.Key, "redis-server-name": r.ServerName} {
			if value != "" {
				return nil, fmt.Errorf("%w: --%s: needs TLS, and the URL begins with another scheme than rediss://", ErrSetting, flag)
			}
		}
		return nil, nil
	}
	c := t.tlsConfig()
	c.MinVersion = max(c.MinVersion, tls.VersionTLS12)
	if r.ServerName != "" {
		c.ServerName = r.ServerName
	}
	if r.CA != "" {
		pem, err := os.ReadFile(r.CA)
		if err != nil {
			return nil, fmt.Errorf("%w: --redis-ca: %w", ErrSetting, err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%w: --redis-ca: %s holds no certificate in PEM form", ErrSetting, r.CA)
		}
	}
	switch {
	case (r.Cert == "") != (r.Key == ""):
		return nil, fmt.Errorf("%w: --redis-cert and --redis-key: one needs the other", ErrSetting)
	case r.Cert == "":
		return c, nil
	}
	if _, err := r.pair(); err != nil {
		return nil, fmt.Errorf("%w: --redis-cert and --redis-key: %w", ErrSetting, err)
	}
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return r.pair() }
	return c, nil
}

// pair reads the certificate that this program shows.
func (r *Settings) pair() (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(r.Cert, r.Key)
	if err != nil {
		return nil, fmt.Errorf("read the certificate for Redis: %w", err)
	}
	return &pair, nil
}

// tlsConfig returns that of the URL.
func (t *target) tlsConfig() *tls.Config {
	switch {
	case t.cluster != nil:
		return t.cluster.TLSConfig
	case t.sentinel != nil:
		return t.sentinel.TLSConfig
	}
	return t.single.TLSConfig
}
