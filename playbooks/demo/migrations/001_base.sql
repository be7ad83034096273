-- The schema of release 1.0. Plain SQL that SQLite and PostgreSQL both take.
CREATE TABLE users (
  id TEXT PRIMARY KEY,
  email TEXT NOT NULL UNIQUE,
  password TEXT NOT NULL
);
CREATE TABLE sessions (
  token TEXT PRIMARY KEY,
  user_id TEXT NOT NULL REFERENCES users (id),
  created_at TEXT NOT NULL
);
CREATE TABLE ventures (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  owner_id TEXT NOT NULL REFERENCES users (id),
  budget_cents BIGINT NOT NULL,
  current_workflow_stage INTEGER NOT NULL DEFAULT 1,
  updated_at TEXT NOT NULL
);
CREATE TABLE ledger (
  id TEXT PRIMARY KEY,
  venture_id TEXT NOT NULL REFERENCES ventures (id),
  amount_cents BIGINT NOT NULL
);
CREATE INDEX ledger_venture ON ledger (venture_id);
CREATE INDEX ventures_owner ON ventures (owner_id);
CREATE TABLE approvals (
  subject TEXT NOT NULL,
  version TEXT NOT NULL,
  digest TEXT NOT NULL,
  approved_by TEXT NOT NULL,
  approved_at TEXT NOT NULL,
  PRIMARY KEY (subject, version)
);
CREATE TABLE archive (
  id TEXT PRIMARY KEY,
  body TEXT NOT NULL
);
