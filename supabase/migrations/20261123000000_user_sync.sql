-- The users table, and the functions through which every path writes it.
--
-- Read top-down: two tables, who may read them, then one mapping, one look, one write, one note
-- of a failure. Whoever keeps users in a table of another shape leaves the ledger and edits the
-- functions: ../examples/profiles.sql is a worked example.
--
-- Runs as Supabase's `postgres` role, and twice without harm.

create table if not exists public.users (
  id text primary key,
  email text,
  email_verified boolean,
  phone_number text,
  username text,
  first_name text,
  last_name text,
  image_url text,
  external_id text,
  public_metadata jsonb,
  banned boolean,
  created_at timestamptz,
  updated_at timestamptz,
  deleted_at timestamptz,
  synced_at timestamptz,
  synced_by text check (synced_by in ('webhook', 'page_load', 'reconcile'))
);

-- A table of this name may have been there before, with other columns.
do $$
declare
  missing text;
begin
  select string_agg(wanted, ', ' order by wanted) into missing
  from unnest(array['id', 'email', 'email_verified', 'phone_number', 'username', 'first_name',
    'last_name', 'image_url', 'external_id', 'public_metadata', 'banned', 'created_at',
    'updated_at', 'deleted_at', 'synced_at', 'synced_by']) as wanted
  where not exists (
    select from pg_catalog.pg_attribute
    where attrelid = 'public.users'::regclass and attname = wanted and not attisdropped
  );
  if missing is not null then
    raise exception 'public.users is another table: it lacks %', missing
      using hint = 'Map onto your own table instead: see supabase/examples/profiles.sql.';
  end if;
end
$$;

comment on table public.users is
  'The users of Clerk, by their Clerk id. Written by user_sync_apply alone.';
comment on column public.users.id is 'The Clerk id, user_…';
comment on column public.users.updated_at is 'When Clerk last changed the user: an older change never overwrites a newer one.';
comment on column public.users.deleted_at is 'Not null: a tombstone. Nothing revives it; the id stays so that foreign keys hold.';
comment on column public.users.synced_at is 'When the row was last confirmed to be as Clerk has it.';
comment on column public.users.synced_by is 'The path that last confirmed it: webhook, page_load or reconcile.';

create table if not exists public.user_sync_events (
  number bigint generated always as identity primary key,
  event_id text unique,
  event_type text,
  user_id text,
  source text not null check (source in ('webhook', 'page_load', 'reconcile')),
  outcome text not null check (outcome in
    ('created', 'updated', 'unchanged', 'stale', 'deleted', 'rejected')),
  reason text,
  recorded_at timestamptz not null default now()
);

comment on table public.user_sync_events is
  'The ledger: a row for each write and each webhook. Was this event seen? Is a path silent? No personal data.';
comment on column public.user_sync_events.event_id is 'The svix-id of a webhook; null for the other paths.';
comment on column public.user_sync_events.reason is 'Why an event was rejected.';

alter table public.users enable row level security;
alter table public.user_sync_events enable row level security;

-- Supabase grants everything on new tables in public to everybody.
revoke all on public.users, public.user_sync_events from anon, authenticated;
revoke all on sequence public.user_sync_events_number_seq from anon, authenticated;
grant select on public.users to authenticated;
grant select, insert, update on public.users, public.user_sync_events to service_role;

drop policy if exists "a signed-in user reads their own row" on public.users;
create policy "a signed-in user reads their own row" on public.users
  for select to authenticated
  using ((select auth.jwt() ->> 'sub') = id);


create or replace function public.user_sync_row(clerk_user jsonb)
returns public.users
language plpgsql immutable
set search_path = ''
as $$
declare
  email jsonb;
  phone jsonb;
  mapped public.users;
begin
  select address into email
  from jsonb_array_elements(clerk_user -> 'email_addresses') as address
  where address ->> 'id' = clerk_user ->> 'primary_email_address_id';

  select number into phone
  from jsonb_array_elements(clerk_user -> 'phone_numbers') as number
  where number ->> 'id' = clerk_user ->> 'primary_phone_number_id';

  mapped.id := clerk_user ->> 'id';
  mapped.email := nullif(email ->> 'email_address', '');
  mapped.email_verified := email #>> '{verification,status}' = 'verified';
  mapped.phone_number := nullif(phone ->> 'phone_number', '');
  mapped.username := nullif(clerk_user ->> 'username', '');
  mapped.first_name := nullif(clerk_user ->> 'first_name', '');
  mapped.last_name := nullif(clerk_user ->> 'last_name', '');
  mapped.image_url := nullif(clerk_user ->> 'image_url', '');
  mapped.external_id := nullif(clerk_user ->> 'external_id', '');
  mapped.public_metadata := nullif(clerk_user -> 'public_metadata', 'null');
  mapped.banned := clerk_user ->> 'banned';
  mapped.created_at := to_timestamp((clerk_user ->> 'created_at')::bigint / 1000.0);
  mapped.updated_at := to_timestamp((clerk_user ->> 'updated_at')::bigint / 1000.0);
  return mapped;
end
$$;

comment on function public.user_sync_row is
  'The one place where Clerk''s user object becomes a row.';


create or replace function public.user_sync_status(
  clerk_id text,
  changed_at_ms bigint default null,
  max_age_seconds bigint default null
)
returns text
language sql stable
set search_path = ''
as $$
  select coalesce((
    select case
      when stored.deleted_at is not null then 'deleted'
      when stored.updated_at is null or stored.synced_at is null then 'outdated'
      when stored.updated_at < to_timestamp(changed_at_ms / 1000.0) then 'outdated'
      when stored.synced_at < now() - make_interval(secs => max_age_seconds) then 'outdated'
      else 'present'
    end
    from public.users as stored
    where stored.id = clerk_id
  ), 'missing')
$$;

comment on function public.user_sync_status is
  'missing, present, outdated (older than changed_at_ms, or not confirmed for max_age_seconds) or deleted. Writes nothing.';


create or replace function public.user_sync_apply(
  clerk_user jsonb,
  via text,
  event_id text default null,
  event_type text default null,
  event_at_ms bigint default null
)
returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  incoming public.users := public.user_sync_row(clerk_user);
  stored public.users;
  outcome text;
begin
  if incoming.id is null then
    raise exception 'the user has no id' using errcode = 'null_value_not_allowed';
  end if;

  -- All writes of one user stand in line here. Each statement below sees what the ones before
  -- it have committed.
  perform pg_advisory_xact_lock(hashtextextended(incoming.id, 0));

  if exists (
    select from public.user_sync_events as seen
    where seen.event_id = user_sync_apply.event_id and seen.outcome <> 'rejected'
  ) then
    return jsonb_build_object('outcome', 'duplicate', 'email', null, 'displaced', '[]'::jsonb);
  end if;

  select * into stored from public.users as before where before.id = incoming.id for update;

  if stored.deleted_at is not null then
    -- A deletion is for ever. Clerk never uses an id again.
    outcome := 'deleted';
  elsif event_type = 'user.deleted' or clerk_user @> '{"deleted": true}' then
    outcome := 'deleted';
    incoming := null;
    incoming.id := clerk_user ->> 'id';
    incoming.created_at := stored.created_at;
    incoming.updated_at := stored.updated_at;
    incoming.deleted_at := coalesce(to_timestamp(event_at_ms / 1000.0), now());
  elsif incoming.updated_at is null then
    raise exception 'the user has no updated_at' using errcode = 'null_value_not_allowed';
  elsif stored.id is null then
    outcome := 'created';
  elsif stored.updated_at > incoming.updated_at then
    outcome := 'stale';
  elsif (stored.email, stored.email_verified, stored.phone_number, stored.username,
      stored.first_name, stored.last_name, stored.image_url, stored.external_id,
      stored.public_metadata, stored.banned, stored.created_at, stored.updated_at)
    is distinct from
    (incoming.email, incoming.email_verified, incoming.phone_number, incoming.username,
      incoming.first_name, incoming.last_name, incoming.image_url, incoming.external_id,
      incoming.public_metadata, incoming.banned, incoming.created_at, incoming.updated_at)
  then
    -- Equal times apply: Clerk may change a user twice in one millisecond.
    outcome := 'updated';
  else
    outcome := 'unchanged';
  end if;

  if outcome <> 'stale' and stored.deleted_at is null then
    insert into public.users as stored_row (id, email, email_verified, phone_number, username,
      first_name, last_name, image_url, external_id, public_metadata, banned, created_at,
      updated_at, deleted_at, synced_at, synced_by)
    values (incoming.id, incoming.email, incoming.email_verified, incoming.phone_number,
      incoming.username, incoming.first_name, incoming.last_name, incoming.image_url,
      incoming.external_id, incoming.public_metadata, incoming.banned, incoming.created_at,
      incoming.updated_at, incoming.deleted_at, now(), via)
    on conflict (id) do update set (email, email_verified, phone_number, username,
      first_name, last_name, image_url, external_id, public_metadata, banned, created_at,
      updated_at, deleted_at, synced_at, synced_by)
    = (excluded.email, excluded.email_verified, excluded.phone_number, excluded.username,
      excluded.first_name, excluded.last_name, excluded.image_url, excluded.external_id,
      excluded.public_metadata, excluded.banned, excluded.created_at, excluded.updated_at,
      excluded.deleted_at, excluded.synced_at, excluded.synced_by);
    stored := incoming;
  end if;

  insert into public.user_sync_events (event_id, event_type, user_id, source, outcome)
  values (event_id, event_type, incoming.id, via, outcome)
  on conflict on constraint user_sync_events_event_id_key do update
    set (event_type, user_id, outcome, reason, recorded_at)
    = (excluded.event_type, excluded.user_id, excluded.outcome, null, now());

  return jsonb_build_object('outcome', outcome, 'email', stored.email, 'displaced', '[]'::jsonb);
end
$$;

comment on function public.user_sync_apply is
  'The one write. Receipt, order guard, tombstone and row stand or fall together. Answers {outcome, email, displaced}: displaced lists the users who gave up a unique value, none in this table.';


create or replace function public.user_sync_reject(
  event_id text,
  event_type text,
  clerk_id text,
  reason text
)
returns void
language sql
set search_path = ''
as $$
  insert into public.user_sync_events as seen
    (event_id, event_type, user_id, source, outcome, reason)
  values ($1, $2, $3, 'webhook', 'rejected', $4)
  on conflict (event_id) do update
    set (reason, recorded_at) = (excluded.reason, now())
    where seen.outcome = 'rejected'
$$;

comment on function public.user_sync_reject is
  'Notes a signed event that can never work. It may be replayed once its cause is mended.';


-- Supabase lets everybody execute a new function in public.
revoke execute on function
  public.user_sync_row,
  public.user_sync_status,
  public.user_sync_apply,
  public.user_sync_reject
from public, anon, authenticated;
grant execute on function
  public.user_sync_row,
  public.user_sync_status,
  public.user_sync_apply,
  public.user_sync_reject
to service_role;

notify pgrst, 'reload schema';
