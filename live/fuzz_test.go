package live_test

import (
	"encoding/json"
	"testing"
	"testing/synctest"

	"github.com/coder/websocket"

	"lastmile/live"
	"lastmile/live/livetest"
	"lastmile/push"
)

// hostileFrames are messages that no client of ours sends.
var hostileFrames = []string{
	``, `{`, `null`, `[]`, `"x"`, `0`, `{}`, `{"a":1}`, `{"a":"Add","d":[]}`, `{"a":"Add","d":"x"}`, `{"a":"Add","d":null}`,
	`{"i":-1}`, `{"i":1e30,"a":"Add"}`, `{"k":18446744073709551615}`, `{"k":-5}`, `{"q":true}`, `{"q":7}`,
	`{"v":1,"t":"x","h":"y"}`, `{"a":"\u0000","i":1}`, `{"a":"Mount","i":2}`, `{"a":"OnConnect"}`, `{"a":"Add","d":{"by":{"x":[1,2]}},"i":3}`,
	`{"a":"Add","a":"Fail","i":4}`, "{\"a\":\"\xff\xfe\"}", `{"A":"Add","I":5}`, `{"d":{"":""}}`, "\x00\x01\x02",
	`{"a":"Add","d":{"by":"9223372036854775808"},"i":6}`, `{"t":{"a":1}}`,
}

func FuzzDecodeMessage(f *testing.F) {
	for _, s := range hostileFrames {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		const limit = 1 << 10
		action, err := live.DecodeMessage(b, limit)
		if err == nil && (len(b) > limit || len(action) > push.MaxActionLen) {
			t.Errorf("took %d bytes with an action of %d", len(b), len(action))
		}
	})
}

// FuzzBind binds whatever JSON comes into every shape: an error at worst, and
// what encoding/json takes as it is comes out the same.
func FuzzBind(f *testing.F) {
	for _, s := range []string{`{"n":"1"}`, `{"tags":["a",1,null,{}]}`, `{"at":" "}`, `[]`, `"x"`, `{"on":[[]]}`, `{"by":{"a":""}}`, `{"Tags": [ "1" , " " ]}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for name, shape := range shapes() {
			got, want := shape.new(), shape.new()
			err := live.BindData(b, got)
			if strict := json.Unmarshal(b, want); strict == nil && (err != nil || shape.show(got) != shape.show(want)) {
				t.Errorf("%s: got %s (%v), want %s", name, shape.show(got), err, shape.show(want))
			}
		}
	})
}

func TestHostileFrames(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := startNode(t, memStore(t), live.Config{MessageRate: 1000, MessageBurst: 1000})
		v := view(t, n, counting{}, counter{}, counterHTML)
		b := livetest.NewBrowser(t)
		for _, kind := range []websocket.MessageType{websocket.MessageText, websocket.MessageBinary} {
			ws := dial(t, b, v, b.Load(v, "/"))
			go func() {
				for {
					if _, _, err := ws.Read(t.Context()); err != nil {
						return
					}
				}
			}()
			for _, s := range hostileFrames {
				if err := ws.Write(t.Context(), kind, []byte(s)); err != nil {
					t.Errorf("%q ended the connection: %v", s, err)
				}
			}
			synctest.Wait()
			if err := ws.Close(websocket.StatusNormalClosure, ""); err != nil {
				t.Errorf("close: %v", err)
			}
		}
		p := b.Open(v, "/")
		p.Click("Add", nil)
		p.WaitText("n=1")
	})
}

func TestHostileHello(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := startNode(t, memStore(t), live.Config{})
		v := view(t, n, counting{}, counter{}, counterHTML)
		synctest.Wait()
		for _, hello := range append([]string{`{"v":2}`, `{"v":1,"t":"AAAA"}`, `{"v":1,"h":"zz","s":-1}`}, hostileFrames...) {
			ws, err := livetest.NewBrowser(t).Dial(v, "/")
			if err != nil {
				t.Fatal(err)
			}
			if err := ws.Write(t.Context(), websocket.MessageText, []byte(hello)); err != nil {
				t.Fatal(err)
			}
			_, frame, err := ws.Read(t.Context())
			if code := websocket.CloseStatus(err); err != nil && code != websocket.StatusPolicyViolation && code != 4003 {
				t.Errorf("hello %q: %v, want a frame, 1008 or 4003", hello, err)
			}
			if err == nil && len(frame) == 0 {
				t.Errorf("hello %q: an empty frame", hello)
			}
			_ = ws.CloseNow() // it may have ended
		}
	})
}
