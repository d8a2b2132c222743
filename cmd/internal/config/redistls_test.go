package config_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lastmile/cmd/internal/config"
	"lastmile/internal/patience"
	"lastmile/internal/redistest"
)

// authority signs certificates for a test.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir()}
	a.cert, a.key = nil, nil
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "Test CA"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a.file, _ = a.issue(t, "ca", template, time.Hour)
	return a
}

// pair writes a certificate for name, and its key, that is valid until then.
func (a *authority) pair(t *testing.T, name string, life time.Duration) (cert, key string) {
	t.Helper()
	return a.issue(t, name, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, DNSNames: []string{name, "localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, life)
}

func (a *authority) issue(t *testing.T, name string, template *x509.Certificate, life time.Duration) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-24*time.Hour), time.Now().Add(life)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert == nil {
		a.key = key
		if a.cert, err = x509.ParseCertificate(der); err != nil {
			t.Fatal(err)
		}
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(a.dir, name+".crt"), filepath.Join(a.dir, name+".key")
	write(t, certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	write(t, keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
	return certFile, keyFile
}

func write(t *testing.T, file string, b []byte) {
	t.Helper()
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// tlsServer starts a Redis with a port that speaks TLS, and returns that port's
// address and the plain one's.
func tlsServer(t *testing.T, ca *authority, life time.Duration, clients string) (secure, plain string) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	secure = l.Addr().String()
	_ = l.Close()
	_, port, _ := net.SplitHostPort(secure)
	cert, key := ca.pair(t, "redis", life)
	server := redistest.Start(t, redistest.Config{Args: []string{
		"--tls-port", port, "--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", ca.file, "--tls-auth-clients", clients,
	}})
	return secure, server.Addr()
}

// TestTLS connects to real servers with certificates of each kind. What is wrong
// has to be in the message.
func TestTLS(t *testing.T) {
	t.Parallel()
	ca, stranger := newAuthority(t), newAuthority(t)
	open, plain := tlsServer(t, ca, time.Hour, "no")
	mutual, _ := tlsServer(t, ca, time.Hour, "yes")
	expired, _ := tlsServer(t, ca, -time.Hour, "no")
	cert, key := ca.pair(t, "web", time.Hour)
	otherCert, otherKey := stranger.pair(t, "web", time.Hour)
	oldCert, oldKey := ca.pair(t, "old", -time.Hour)
	for _, tt := range []struct {
		name  string
		redis config.Redis
		want  string // "" when it connects
	}{
		{"trusted CA", config.Redis{URL: "rediss://" + open, CA: ca.file}, ""},
		{"trusted CA, a database", config.Redis{URL: "rediss://" + open + "/3", CA: ca.file}, ""},
		{"CA of the system", config.Redis{URL: "rediss://" + open}, "certificate signed by unknown authority"},
		{"another CA", config.Redis{URL: "rediss://" + open, CA: stranger.file}, "certificate signed by unknown authority"},
		{"not verified", config.Redis{URL: "rediss://" + open + "?skip_verify=true"}, ""},
		{"another name", config.Redis{URL: "rediss://" + open, CA: ca.file, ServerName: "redis.example"}, "certificate is valid for redis, localhost, not redis.example"},
		{"a name of its own", config.Redis{URL: "rediss://" + open, CA: ca.file, ServerName: "redis"}, ""},
		{"certificate where none is asked for", config.Redis{URL: "rediss://" + open, CA: ca.file, Cert: cert, Key: key}, ""},
		{"expired", config.Redis{URL: "rediss://" + expired, CA: ca.file}, "certificate has expired"},
		{"mutual", config.Redis{URL: "rediss://" + mutual, CA: ca.file, Cert: cert, Key: key}, ""},
		{"mutual without a certificate", config.Redis{URL: "rediss://" + mutual, CA: ca.file}, "certificate required"},
		{"mutual with a stranger's", config.Redis{URL: "rediss://" + mutual, CA: ca.file, Cert: otherCert, Key: otherKey}, "unknown certificate authority"},
		{"mutual with an expired one", config.Redis{URL: "rediss://" + mutual, CA: ca.file, Cert: oldCert, Key: oldKey}, "expired certificate"},
		{"plain to a port with TLS", config.Redis{URL: "redis://" + open}, "begins with rediss://"},
		{"TLS to a plain port", config.Redis{URL: "rediss://" + plain, CA: ca.file}, "begins with redis://"},
		{"plain to a plain port", config.Redis{URL: "redis://" + plain}, ""},
		{"cluster client", config.Redis{URL: "rediss+cluster://" + open}, "certificate signed by unknown authority"},
		{"sentinel client", config.Redis{URL: "rediss+sentinel://" + open + "?master_name=m"}, "certificate signed by unknown authority"},
		{"nobody there", config.Redis{URL: "redis://127.0.0.1:1"}, "connection refused"},
		{"no such host", config.Redis{URL: "redis://redis.invalid:6379"}, "redis.invalid"},
		{"no such socket", config.Redis{URL: "unix://" + ca.dir + "/none.sock"}, "none.sock: connect: no such file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			client, err := tt.redis.Client()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = client.Close() })
			patience.UntilSaid(t, fmt.Sprintf("an answer with %q", tt.want), func() (bool, string) {
				// As long as a program's first look at its store.
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
				defer cancel()
				err = client.Ping(ctx).Err()
				return tt.want == "" && err == nil || tt.want != "" && err != nil && strings.Contains(err.Error(), tt.want), fmt.Sprint(err)
			})
			if tt.want != "" && strings.Contains(err.Error(), "context deadline exceeded") {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestTLSSettings refuses what cannot work before anything is dialled.
func TestTLSSettings(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	cert, key := ca.pair(t, "web", time.Hour)
	_, otherKey := ca.pair(t, "other", time.Hour)
	empty := filepath.Join(t.TempDir(), "empty")
	write(t, empty, []byte("\n"))
	long := filepath.Join(t.TempDir(), "long")
	write(t, long, []byte(strings.Repeat("x", 5000)))
	good := filepath.Join(t.TempDir(), "good")
	write(t, good, []byte("pw\n"))
	for _, tt := range []struct {
		name  string
		redis config.Redis
		want  string
	}{
		{"certificate without a key", config.Redis{URL: "rediss://h", Cert: cert}, "one needs the other"},
		{"key without a certificate", config.Redis{URL: "rediss://h", Key: key}, "one needs the other"},
		{"key of another certificate", config.Redis{URL: "rediss://h", Cert: cert, Key: otherKey}, "private key does not match"},
		{"no file", config.Redis{URL: "rediss://h", CA: "/nowhere/ca.pem"}, "--redis-ca: open /nowhere/ca.pem"},
		{"no certificate in it", config.Redis{URL: "rediss://h", CA: key}, "holds no certificate"},
		{"CA without TLS", config.Redis{URL: "redis://h", CA: ca.file}, "--redis-ca: needs TLS"},
		{"name without TLS", config.Redis{URL: "redis://h", ServerName: "x"}, "--redis-server-name: needs TLS"},
		{"without a URL", config.Redis{PasswordFile: good}, "without --redis-url"},
		{"two passwords", config.Redis{URL: "redis://:pw@h", PasswordFile: good}, "a password too"},
		{"two passwords, sentinel", config.Redis{URL: "redis+sentinel://h?master_name=m&password=pw", PasswordFile: good}, "a password too"},
		{"two users", config.Redis{URL: "redis://web@h", Username: "web"}, "a user too"},
		{"no password file", config.Redis{URL: "redis://h", PasswordFile: "/nowhere/pw"}, "--redis-password-file: open /nowhere/pw"},
		{"empty password file", config.Redis{URL: "redis://h", PasswordFile: empty}, "is empty"},
		{"long password file", config.Redis{URL: "redis://h", PasswordFile: long}, "more than 4096 bytes"},
		{"password file", config.Redis{URL: "redis://web@h", PasswordFile: good}, ""},
		{"password file, Sentinel's own in the URL", config.Redis{URL: "redis+sentinel://:s@h?master_name=m", PasswordFile: good}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.redis.Prefix = "lm"
			err := tt.redis.Check()
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}
