package outbox_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
)

// memoryTable is a database/sql driver with one table of (id, step) and real
// transactions, enough for the outbox's three statements.
type memoryTable struct {
	mu      sync.Mutex
	rows    [][2]string
	failing int
}

func (m *memoryTable) failDeletes(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failing = n
}

func (m *memoryTable) len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.rows)
}

// Connect implements driver.Connector.
func (m *memoryTable) Connect(context.Context) (driver.Conn, error) { return &memoryConn{m: m}, nil }

// Driver implements driver.Connector.
func (m *memoryTable) Driver() driver.Driver { return memoryDriver{} }

type memoryDriver struct{}

func (memoryDriver) Open(string) (driver.Conn, error) { return nil, errors.ErrUnsupported }

// memoryConn keeps what a transaction inserts until it commits.
type memoryConn struct {
	m    *memoryTable
	held [][2]string
	inTx bool
}

func (c *memoryConn) Close() error { return nil }

func (c *memoryConn) Begin() (driver.Tx, error) {
	c.inTx = true
	return c, nil
}

func (c *memoryConn) Commit() error {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	c.m.rows = append(c.m.rows, c.held...)
	c.held, c.inTx = nil, false
	return nil
}

func (c *memoryConn) Rollback() error {
	c.held, c.inTx = nil, false
	return nil
}

func (c *memoryConn) Prepare(query string) (driver.Stmt, error) { return &memoryStmt{c, query}, nil }

type memoryStmt struct {
	c     *memoryConn
	query string
}

func (s *memoryStmt) Close() error  { return nil }
func (s *memoryStmt) NumInput() int { return strings.Count(s.query, "?") }

func (s *memoryStmt) Exec(args []driver.Value) (driver.Result, error) {
	id, _ := args[0].(string)
	if strings.HasPrefix(s.query, "INSERT") {
		step, _ := args[1].(string)
		s.c.held = append(s.c.held, [2]string{id, step})
		if !s.c.inTx {
			return driver.RowsAffected(1), s.c.Commit()
		}
		return driver.RowsAffected(1), nil
	}
	m := s.c.m
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failing > 0 {
		m.failing--
		return nil, errors.New("the database is away")
	}
	m.rows = slices.DeleteFunc(m.rows, func(r [2]string) bool { return r[0] == id })
	return driver.RowsAffected(1), nil
}

func (s *memoryStmt) Query([]driver.Value) (driver.Rows, error) {
	s.c.m.mu.Lock()
	defer s.c.m.mu.Unlock()
	return &memoryRows{rows: slices.Clone(s.c.m.rows)}, nil
}

type memoryRows struct{ rows [][2]string }

func (r *memoryRows) Columns() []string { return []string{"id", "step"} }
func (r *memoryRows) Close() error      { return nil }

func (r *memoryRows) Next(dest []driver.Value) error {
	if len(r.rows) == 0 {
		return io.EOF
	}
	dest[0], dest[1] = r.rows[0][0], r.rows[0][1]
	r.rows = r.rows[1:]
	return nil
}
