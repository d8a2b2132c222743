package compose_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestProxyLoads has Debian's nginx read deploy's configuration, with nothing
// changed but where it listens and writes.
func TestProxyLoads(t *testing.T) {
	t.Parallel()
	path, err := exec.LookPath("nginx")
	if err != nil { // a visitor of Debian does not have it in the path
		path, err = exec.LookPath("/usr/sbin/nginx")
	}
	if err != nil {
		t.Fatalf("nginx is needed (Debian: apt-get install nginx-light): %v", err)
	}
	dir := t.TempDir()
	replace := strings.NewReplacer(
		"\nhttp {\n", "\npid "+dir+"/pid;\nhttp {\n\tclient_body_temp_path "+dir+"/b; proxy_temp_path "+dir+"/p; fastcgi_temp_path "+dir+"/f; uwsgi_temp_path "+dir+"/u; scgi_temp_path "+dir+"/s;\n",
		"listen 80;", "listen unix:"+dir+"/socket;",
	)
	for name, text := range map[string]string{"nginx.conf": replace.Replace(read(t, "deploy/nginx.conf")), "upstream.conf": read(t, "deploy/upstream.conf")} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.CommandContext(t.Context(), path, "-t", "-p", dir, "-c", filepath.Join(dir, "nginx.conf"), "-e", "stderr").CombinedOutput()
	if err != nil {
		t.Errorf("nginx does not load deploy/nginx.conf: %v\n%s", err, out)
	}
}
