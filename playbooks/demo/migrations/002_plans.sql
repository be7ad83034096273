-- Release 1.1: every venture has a plan. The column has a default, so that 1.0 can go on writing.
ALTER TABLE ventures ADD COLUMN plan TEXT NOT NULL DEFAULT 'standard';
CREATE INDEX ventures_plan ON ventures (plan);
