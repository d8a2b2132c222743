package devredis_test

import (
	"context"
	"fmt"
	"time"

	"lastmile/devredis"
)

// A Redis for a test or a program under development.
func ExampleOpen() {
	client, closeAll, err := devredis.Open()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer closeAll()
	fmt.Println(client.Set(context.Background(), "k", "v", time.Hour).Result())
	// Output: OK <nil>
}
