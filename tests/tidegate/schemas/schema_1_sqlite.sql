BEGIN TRANSACTION;
CREATE TABLE alerts (
	id INTEGER NOT NULL, 
	model VARCHAR(64) NOT NULL, 
	version INTEGER NOT NULL, 
	window_id INTEGER NOT NULL, 
	opened_at FLOAT NOT NULL, 
	acknowledged_at FLOAT, 
	message TEXT NOT NULL, 
	features JSON NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "alerts" VALUES(1,'headlines',1,1,1700000100.0,1700000500.0,'inputs drifted: naïve ☂','[{"name": "words", "score": 0.4, "threshold": 0.2}]');
INSERT INTO "alerts" VALUES(2,'headlines',1,1,1700001000.0,NULL,'inputs drifted: naïve ☂','[{"name": "words", "score": 0.4, "threshold": 0.2}]');
INSERT INTO "alerts" VALUES(3,'headlines',2,1,1700002000.0,NULL,'inputs drifted: naïve ☂','[{"name": "words", "score": 0.4, "threshold": 0.2}]');
CREATE TABLE api_keys (
	id VARCHAR(32) NOT NULL, 
	name VARCHAR(64) NOT NULL, 
	role VARCHAR(16) NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	rate FLOAT, 
	created_at FLOAT NOT NULL, 
	expires_at FLOAT, 
	revoked_at FLOAT, 
	PRIMARY KEY (id), 
	UNIQUE (digest)
);
CREATE TABLE comparisons (
	process VARCHAR(32) NOT NULL, 
	model VARCHAR(64) NOT NULL, 
	version INTEGER NOT NULL, 
	since FLOAT NOT NULL, 
	counts JSON NOT NULL, 
	updated_at FLOAT NOT NULL, 
	PRIMARY KEY (process, model, version, since)
);
CREATE TABLE feedback (
	id INTEGER NOT NULL, 
	prediction_id VARCHAR(64) NOT NULL, 
	model VARCHAR(64) NOT NULL, 
	label TEXT NOT NULL, 
	comment TEXT NOT NULL, 
	created_at FLOAT NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "feedback" VALUES(1,'p','headlines','up','',1700000050.5);
CREATE TABLE records (
	sequence INTEGER NOT NULL, 
	id VARCHAR(64) NOT NULL, 
	model VARCHAR(64) NOT NULL, 
	version INTEGER NOT NULL, 
	variant VARCHAR(64) NOT NULL, 
	window_id INTEGER, 
	text TEXT NOT NULL, 
	label TEXT NOT NULL, 
	score FLOAT NOT NULL, 
	margin FLOAT NOT NULL, 
	abstained BOOLEAN NOT NULL, 
	scores JSON NOT NULL, 
	created_at FLOAT NOT NULL, 
	PRIMARY KEY (sequence), 
	UNIQUE (id)
);
CREATE TABLE relabel_items (
	id VARCHAR(32) NOT NULL, 
	model VARCHAR(64) NOT NULL, 
	version INTEGER NOT NULL, 
	prediction_id VARCHAR(64) NOT NULL, 
	text TEXT NOT NULL, 
	text_digest VARCHAR(64) NOT NULL, 
	predicted TEXT NOT NULL, 
	score FLOAT NOT NULL, 
	scores JSON NOT NULL, 
	reason VARCHAR(32) NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	label TEXT, 
	comment TEXT NOT NULL, 
	annotator TEXT NOT NULL, 
	created_at FLOAT NOT NULL, 
	labelled_at FLOAT, 
	PRIMARY KEY (id)
);
CREATE TABLE schema_version (
	version INTEGER NOT NULL, 
	PRIMARY KEY (version)
);
INSERT INTO "schema_version" VALUES(1);
CREATE TABLE shares (
	id VARCHAR(32) NOT NULL, 
	model VARCHAR(64) NOT NULL, 
	created_at FLOAT NOT NULL, 
	expires_at FLOAT NOT NULL, 
	revoked_at FLOAT, 
	PRIMARY KEY (id)
);
CREATE TABLE windows (
	id INTEGER NOT NULL, 
	model VARCHAR(64) NOT NULL, 
	version INTEGER NOT NULL, 
	started_at FLOAT NOT NULL, 
	ended_at FLOAT NOT NULL, 
	rows INTEGER NOT NULL, 
	open BOOLEAN NOT NULL, 
	profile BLOB NOT NULL, 
	status VARCHAR(16) NOT NULL, 
	features JSON NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "windows" VALUES(1,'headlines',1,1700000000.0,1700000100.0,200,1,X'0001','drift','[{"name": "words", "score": 0.4, "threshold": 0.2, "drifted": true}]');
CREATE INDEX records_by_model ON records (model, sequence);
CREATE INDEX windows_by_model ON windows (model, version, id);
CREATE UNIQUE INDEX relabel_by_text ON relabel_items (model, text_digest);
COMMIT;
