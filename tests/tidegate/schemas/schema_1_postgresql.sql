CREATE TABLE public.alerts (
    id integer NOT NULL,
    model character varying(64) NOT NULL,
    version integer NOT NULL,
    window_id integer NOT NULL,
    opened_at double precision NOT NULL,
    acknowledged_at double precision,
    message text NOT NULL,
    features json NOT NULL
);
CREATE SEQUENCE public.alerts_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.alerts_id_seq OWNED BY public.alerts.id;
CREATE TABLE public.api_keys (
    id character varying(32) NOT NULL,
    name character varying(64) NOT NULL,
    role character varying(16) NOT NULL,
    digest character varying(64) NOT NULL,
    rate double precision,
    created_at double precision NOT NULL,
    expires_at double precision,
    revoked_at double precision
);
CREATE TABLE public.comparisons (
    process character varying(32) NOT NULL,
    model character varying(64) NOT NULL,
    version integer NOT NULL,
    since double precision NOT NULL,
    counts json NOT NULL,
    updated_at double precision NOT NULL
);
CREATE TABLE public.feedback (
    id integer NOT NULL,
    prediction_id character varying(64) NOT NULL,
    model character varying(64) NOT NULL,
    label text NOT NULL,
    comment text NOT NULL,
    created_at double precision NOT NULL
);
CREATE SEQUENCE public.feedback_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.feedback_id_seq OWNED BY public.feedback.id;
CREATE TABLE public.records (
    sequence bigint NOT NULL,
    id character varying(64) NOT NULL,
    model character varying(64) NOT NULL,
    version integer NOT NULL,
    variant character varying(64) NOT NULL,
    window_id integer,
    text text NOT NULL,
    label text NOT NULL,
    score double precision NOT NULL,
    margin double precision NOT NULL,
    abstained boolean NOT NULL,
    scores json NOT NULL,
    created_at double precision NOT NULL
);
CREATE SEQUENCE public.records_sequence_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.records_sequence_seq OWNED BY public.records.sequence;
CREATE TABLE public.relabel_items (
    id character varying(32) NOT NULL,
    model character varying(64) NOT NULL,
    version integer NOT NULL,
    prediction_id character varying(64) NOT NULL,
    text text NOT NULL,
    text_digest character varying(64) NOT NULL,
    predicted text NOT NULL,
    score double precision NOT NULL,
    scores json NOT NULL,
    reason character varying(32) NOT NULL,
    state character varying(16) NOT NULL,
    label text,
    comment text NOT NULL,
    annotator text NOT NULL,
    created_at double precision NOT NULL,
    labelled_at double precision
);
CREATE TABLE public.schema_version (
    version integer NOT NULL
);
CREATE SEQUENCE public.schema_version_version_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.schema_version_version_seq OWNED BY public.schema_version.version;
CREATE TABLE public.shares (
    id character varying(32) NOT NULL,
    model character varying(64) NOT NULL,
    created_at double precision NOT NULL,
    expires_at double precision NOT NULL,
    revoked_at double precision
);
CREATE TABLE public.windows (
    id integer NOT NULL,
    model character varying(64) NOT NULL,
    version integer NOT NULL,
    started_at double precision NOT NULL,
    ended_at double precision NOT NULL,
    rows integer NOT NULL,
    open boolean NOT NULL,
    profile bytea NOT NULL,
    status character varying(16) NOT NULL,
    features json NOT NULL
);
CREATE SEQUENCE public.windows_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.windows_id_seq OWNED BY public.windows.id;
ALTER TABLE ONLY public.alerts ALTER COLUMN id SET DEFAULT nextval('public.alerts_id_seq'::regclass);
ALTER TABLE ONLY public.feedback ALTER COLUMN id SET DEFAULT nextval('public.feedback_id_seq'::regclass);
ALTER TABLE ONLY public.records ALTER COLUMN sequence SET DEFAULT nextval('public.records_sequence_seq'::regclass);
ALTER TABLE ONLY public.schema_version ALTER COLUMN version SET DEFAULT nextval('public.schema_version_version_seq'::regclass);
ALTER TABLE ONLY public.windows ALTER COLUMN id SET DEFAULT nextval('public.windows_id_seq'::regclass);
INSERT INTO public.alerts VALUES (1, 'headlines', 1, 1, 1700000100, 1700000500, 'inputs drifted: naïve ☂', '[{"name": "words", "score": 0.4, "threshold": 0.2}]');
INSERT INTO public.alerts VALUES (2, 'headlines', 1, 1, 1700001000, NULL, 'inputs drifted: naïve ☂', '[{"name": "words", "score": 0.4, "threshold": 0.2}]');
INSERT INTO public.alerts VALUES (3, 'headlines', 2, 1, 1700002000, NULL, 'inputs drifted: naïve ☂', '[{"name": "words", "score": 0.4, "threshold": 0.2}]');
INSERT INTO public.feedback VALUES (1, 'p', 'headlines', 'up', '', 1700000050.5);
INSERT INTO public.schema_version VALUES (1);
INSERT INTO public.windows VALUES (1, 'headlines', 1, 1700000000, 1700000100, 200, true, '\x0001', 'drift', '[{"name": "words", "score": 0.4, "threshold": 0.2, "drifted": true}]');
SELECT pg_catalog.setval('public.alerts_id_seq', 3, true);
SELECT pg_catalog.setval('public.feedback_id_seq', 1, true);
SELECT pg_catalog.setval('public.records_sequence_seq', 1, false);
SELECT pg_catalog.setval('public.schema_version_version_seq', 1, false);
SELECT pg_catalog.setval('public.windows_id_seq', 1, true);
ALTER TABLE ONLY public.alerts
    ADD CONSTRAINT alerts_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_digest_key UNIQUE (digest);
ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.comparisons
    ADD CONSTRAINT comparisons_pkey PRIMARY KEY (process, model, version, since);
ALTER TABLE ONLY public.feedback
    ADD CONSTRAINT feedback_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.records
    ADD CONSTRAINT records_id_key UNIQUE (id);
ALTER TABLE ONLY public.records
    ADD CONSTRAINT records_pkey PRIMARY KEY (sequence);
ALTER TABLE ONLY public.relabel_items
    ADD CONSTRAINT relabel_items_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.schema_version
    ADD CONSTRAINT schema_version_pkey PRIMARY KEY (version);
ALTER TABLE ONLY public.shares
    ADD CONSTRAINT shares_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.windows
    ADD CONSTRAINT windows_pkey PRIMARY KEY (id);
CREATE INDEX records_by_model ON public.records USING btree (model, sequence);
CREATE UNIQUE INDEX relabel_by_text ON public.relabel_items USING btree (model, text_digest);
CREATE INDEX windows_by_model ON public.windows USING btree (model, version, id);
