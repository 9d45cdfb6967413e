-- The state of each user, the ledger, and the rules for writing a user, the same for every source.
--
-- The state is ours: schema user_sync, which the API does not expose. The table of users is the
-- app's, and this file does not name it. It is reached by a mapping of three functions, in the next
-- file or in one of your own (a worked example is in ../examples/profiles.sql):
--
--   user_sync.row_exists(clerk_id text) returns boolean
--   user_sync.write_row(clerk_user jsonb) returns jsonb   {outcome, email, displaced}
--   user_sync.erase_row(clerk_id text, deleted_at timestamptz) returns void
--
-- The HTTP functions call three functions of this file: user_sync_status to look, user_sync_apply
-- to write, and user_sync_reject to record an event that can never be written.
--
-- Runs as Supabase's `postgres` role. Running it again does no harm: tables and their data stay,
-- and so do an operator's own grants and functions. Functions are replaced and never dropped,
-- because a call that is running would fail.

begin;

create schema if not exists user_sync;

comment on schema user_sync is
  'The state and the ledger of user sync. Only the functions user_sync_* in public use it.';

do $$
begin
  if to_regtype('user_sync.source') is null then
    create type user_sync.source as enum ('webhook', 'page_load', 'reconcile');
  end if;
  if to_regtype('user_sync.outcome') is null then
    create type user_sync.outcome as enum
      ('created', 'updated', 'unchanged', 'stale', 'deleted', 'rejected');
  end if;
end
$$;

-- A row changes at each confirmation: free space in the page keeps such an update off the index.
create table if not exists user_sync.users (
  id text primary key,
  created_at timestamptz,
  updated_at timestamptz,
  confirmed_at timestamptz not null,
  confirmed_by user_sync.source not null,
  in_doubt_since timestamptz,
  deleted_at timestamptz,
  first_seen_at timestamptz not null,
  first_seen_by user_sync.source not null,
  webhook_at timestamptz,
  constraint users_have_a_version check (updated_at is not null or deleted_at is not null)
) with (fillfactor = 90);

-- Nobody but the owner has rights on a new schema and its tables. This is in case somebody exposes
-- it. It stands before the indexes, so that a second run locks in the order of a write.
alter table user_sync.users enable row level security;

comment on table user_sync.users is
  'The state: what the rules know of each Clerk user. Only user_sync_apply writes here. No '
  'personal data.';
comment on column user_sync.users.created_at is 'When the user signed up in Clerk.';
comment on column user_sync.users.updated_at is
  'When Clerk last changed the user: the version that the app''s row has. It never goes back.';
comment on column user_sync.users.confirmed_at is
  'When a source last wrote the row, or found that it matches Clerk.';
comment on column user_sync.users.in_doubt_since is
  'Not null while the user is in doubt. A source ends the doubt only with a version that it read '
  'from Clerk after this.';
comment on column user_sync.users.deleted_at is
  'Not null for a tombstone. Nothing revives the user.';
comment on column user_sync.users.first_seen_at is 'When a source first told of the user.';
comment on column user_sync.users.webhook_at is
  'When an accepted webhook last told of the user. Null: no webhook ever did.';

-- It grows by one row for each webhook, so bytes count: fixed widths come first, so that none is
-- lost to alignment, and the indexes of what only grows are full.
create table if not exists user_sync.events (
  number bigint generated always as identity primary key with (fillfactor = 100),
  recorded_at timestamptz not null default now(),
  source user_sync.source not null,
  outcome user_sync.outcome not null,
  event_id text,
  event_type text,
  user_id text,
  reason text
);

alter table user_sync.events enable row level security;

-- The indexes are made with the table: on a ledger that is full, each would block writes for as
-- long as it takes.

-- Receipts.
create unique index if not exists events_by_event
  on user_sync.events (event_id) with (fillfactor = 100) where event_id is not null;
-- For the health, and to find rejected events.
create index if not exists events_by_source_and_outcome
  on user_sync.events (source, outcome, recorded_at);

comment on table user_sync.events is
  'The ledger: one row for each webhook, and for each other write that changed something. It knows '
  'which events were seen and when each source last wrote. No personal data.';
comment on column user_sync.events.event_id is
  'The svix-id of a webhook. Null for the other sources.';
comment on column user_sync.events.reason is 'Why the event was rejected.';


create or replace function user_sync.primary_of(identifications jsonb, id jsonb)
returns jsonb
language sql stable
as $$
  select jsonb_path_query_first(
    identifications, 'strict $[*] ? (@.id == $id)', jsonb_build_object('id', id))
$$;

comment on function user_sync.primary_of is
  'The primary one of a user''s e-mail addresses or phone numbers: the one with this id, not the '
  'first of the list. Null if there is none. PostgreSQL inlines it, so it costs no call.';


create or replace function public.user_sync_status(
  clerk_id text,
  changed_at_ms bigint default null,
  max_age_seconds bigint default null
)
returns jsonb
language plpgsql stable security definer
set search_path = ''
as $$
declare
  looked_at constant timestamptz := clock_timestamp();
  known record;
begin
  select state.updated_at, state.deleted_at, state.confirmed_at, state.in_doubt_since
  into known
  from user_sync.users as state
  where state.id = user_sync_status.clerk_id;

  return jsonb_build_object(
    'status', case
      when known.deleted_at is not null then 'deleted'
      -- The app's table decides whether there is a row: it may have been restored or emptied.
      when not user_sync.row_exists(user_sync_status.clerk_id) then 'missing'
      -- The row was there before us: no source has confirmed it.
      when known.confirmed_at is null then 'in_doubt'
      when known.in_doubt_since is not null then 'in_doubt'
      when known.updated_at < to_timestamp(user_sync_status.changed_at_ms / 1000.0) then 'in_doubt'
      when known.confirmed_at
        < looked_at - make_interval(secs => user_sync_status.max_age_seconds) then 'in_doubt'
      else 'present'
    end,
    'looked_at', looked_at);
end
$$;


-- How writes of one user at the same time stay right, without a lock while they only look:
--
-- 1. One query reads the state and the receipt, so both are from one moment.
-- 2. The first write is the one of the state, and it succeeds only if the state is still the one
--    that was seen: `insert … on conflict do nothing`, or `update … where xmin` is the one seen
--    (PostgreSQL changes xmin with each version of a row). Both wait for a write that is under way,
--    and find nothing to do after it has committed. Then everything starts again, this time with the
--    row locked, so a third time is never needed.
-- 3. From then on this transaction has the lock on the user's state, so writes of one user follow
--    each other. The app's row and the receipt come after it. All of it commits, or none.
--
-- So of two copies of a webhook the second waits, starts again, sees the receipt, and is a
-- duplicate. A late update that meets a deletion waits, starts again, and sees the tombstone. Two
-- writes that want each other's unique value may deadlock (40P01): the caller repeats the one that
-- PostgreSQL ends.
--
-- Each statement of a volatile function has a snapshot of its own, which is what the second look
-- needs. Whatever must see a write is a statement of its own after it: inside the same statement, a
-- stable function would still see what was there before.
create or replace function public.user_sync_apply(
  clerk_user jsonb,
  source text,
  event_id text default null,
  event_type text default null,
  event_at_ms bigint default null,
  read_at timestamptz default null
)
returns jsonb
language plpgsql security definer
set search_path = ''
-- Without this, what a caller left behind would wait on, and use up the connections of the API. It
-- is less than the 3 s after which a caller gives up, so that the caller gets to know: a statement
-- that timed out is not repeated at once. It is more than the 1 s after which PostgreSQL ends a
-- deadlock.
set lock_timeout = '2s'
as $$
#variable_conflict use_column
declare
  clerk_id constant text := clerk_user ->> 'id';
  written_by constant user_sync.source := source;
  is_webhook constant boolean := source = 'webhook';
  is_deletion constant boolean := event_type is not distinct from 'user.deleted';
  changed_at constant timestamptz := to_timestamp((clerk_user ->> 'updated_at')::bigint / 1000.0);
  seen record;
  confirms boolean;
  is_ambiguous boolean;
  doubtful text[];
  result text;
  answer jsonb;
begin
  if clerk_id is null then
    raise exception 'the user has no id' using errcode = 'null_value_not_allowed';
  end if;

  loop
    select state.xmin as version, state.updated_at, state.deleted_at, state.in_doubt_since,
      receipt.outcome is not null as is_duplicate
    into seen
    from (values (true)) as one_row (exists)
      left join user_sync.users as state on state.id = clerk_id
      left join user_sync.events as receipt
        on receipt.event_id = user_sync_apply.event_id and receipt.outcome <> 'rejected';

    if seen.is_duplicate then
      return '{"outcome": "duplicate", "email": null, "displaced": []}';
    end if;

    result := case
      -- A deletion is final: Clerk never reuses an id.
      when is_deletion or seen.deleted_at is not null then 'deleted'
      -- Also if the app's row is gone: an old version must not come back. A read from Clerk heals
      -- it.
      when changed_at < seen.updated_at then 'stale'
    end;
    if result is null and changed_at is null then
      raise exception 'the user has no updated_at' using errcode = 'null_value_not_allowed';
    end if;
    -- A state only goes forward, so this needs no lock. Only a webhook leaves a receipt.
    if result is not null and not is_deletion and not is_webhook then
      exit;
    end if;

    if seen.version is null then
      insert into user_sync.users (id, created_at, updated_at, deleted_at, confirmed_at,
        confirmed_by, first_seen_at, first_seen_by, webhook_at)
      values (
        clerk_id,
        to_timestamp((clerk_user ->> 'created_at')::bigint / 1000.0),
        changed_at,
        case when is_deletion
          then coalesce(to_timestamp(user_sync_apply.event_at_ms / 1000.0), now()) end,
        clock_timestamp(), written_by, clock_timestamp(), written_by,
        case when is_webhook then clock_timestamp() end)
      on conflict (id) do nothing;
    else
      -- A newer version ends a doubt. An equal one ends it only if its source read Clerk after the
      -- doubt arose: whoever read before may have seen the other version of that millisecond. An
      -- event does not say when it was read.
      confirms := result is null and coalesce(
        changed_at > seen.updated_at
        or seen.in_doubt_since is null
        or (not is_webhook and user_sync_apply.read_at > seen.in_doubt_since),
        false);
      update user_sync.users as state set
        created_at = case when result is null
          then to_timestamp((clerk_user ->> 'created_at')::bigint / 1000.0)
          else state.created_at end,
        updated_at = case when result is null then changed_at else state.updated_at end,
        confirmed_at = case when confirms then clock_timestamp() else state.confirmed_at end,
        confirmed_by = case when confirms then written_by else state.confirmed_by end,
        in_doubt_since = case when not confirms then state.in_doubt_since end,
        deleted_at = case when is_deletion and state.deleted_at is null
          then coalesce(to_timestamp(user_sync_apply.event_at_ms / 1000.0), now())
          else state.deleted_at end,
        webhook_at = case when is_webhook then clock_timestamp() else state.webhook_at end
      where state.id = clerk_id and state.xmin = seen.version;
    end if;
    exit when found;
    perform 1 from user_sync.users as state where state.id = clerk_id for update;
  end loop;

  if result is null then
    answer := user_sync.write_row(clerk_user);
    result := answer ->> 'outcome';
    -- Of two versions of one millisecond nobody knows which is newer. If this one changed the row,
    -- or made it again because it was gone, the other may be the right one: from now on the user is
    -- in doubt. So is whoever gave up a unique value.
    -- So is one whose row was there before us, if an event changed it: nobody knows its version.
    is_ambiguous := changed_at = seen.updated_at and result <> 'unchanged'
      or seen.version is null and is_webhook and result = 'updated';
    if is_ambiguous or answer -> 'displaced' <> '[]' then
      doubtful := array(select jsonb_array_elements_text(answer -> 'displaced'));
      if is_ambiguous then
        doubtful := doubtful || clerk_id;
      end if;
      update user_sync.users as state
      set in_doubt_since = clock_timestamp()
      where state.id = any (doubtful) and state.deleted_at is null;
    end if;
  else
    if is_deletion then
      -- Again for a second deletion: a restored table may have the personal data back.
      perform user_sync.erase_row(clerk_id, state.deleted_at)
      from user_sync.users as state
      where state.id = clerk_id;
    end if;
    answer := jsonb_build_object('outcome', result, 'displaced', '[]'::jsonb, 'email',
      case when result = 'stale' then user_sync.primary_of(clerk_user -> 'email_addresses',
        clerk_user -> 'primary_email_address_id') ->> 'email_address' end);
  end if;

  if is_webhook or result in ('created', 'updated') or is_deletion and seen.deleted_at is null then
    insert into user_sync.events as receipt (event_id, event_type, user_id, source, outcome)
    values (user_sync_apply.event_id, user_sync_apply.event_type, clerk_id, written_by,
      result::user_sync.outcome)
    on conflict (event_id) where event_id is not null do update
      set (event_type, user_id, source, outcome, reason, recorded_at)
      = (excluded.event_type, excluded.user_id, excluded.source, excluded.outcome, null, now())
      where receipt.outcome = 'rejected';
    if not found then
      -- One event about two users. What was written here is undone, and the caller asks again.
      raise exception 'the event was accepted meanwhile, for another user'
        using errcode = 'serialization_failure';
    end if;
  end if;

  return answer;
end
$$;


create or replace function public.user_sync_reject(
  event_id text,
  event_type text,
  clerk_id text,
  reason text
)
returns void
language plpgsql security definer
set search_path = ''
set lock_timeout = '2s'
as $$
#variable_conflict use_column
begin
  insert into user_sync.events as receipt
    (event_id, event_type, user_id, source, outcome, reason)
  values (user_sync_reject.event_id, user_sync_reject.event_type, user_sync_reject.clerk_id,
    'webhook', 'rejected', user_sync_reject.reason)
  on conflict (event_id) where event_id is not null do update
    set (reason, recorded_at) = (excluded.reason, now())
    where receipt.outcome = 'rejected';
end
$$;


create or replace function public.user_sync_confirmations(clerk_ids text[])
returns jsonb
language plpgsql stable security definer
set search_path = ''
as $$
begin
  return (
    select coalesce(jsonb_object_agg(asked.id, jsonb_build_object(
      'has_row', user_sync.row_exists(asked.id),
      'confirmed_at', state.confirmed_at,
      'confirmed_by', state.confirmed_by,
      'in_doubt', state.id is null or state.in_doubt_since is not null,
      'deleted_at', state.deleted_at)), '{}')
    from unnest(user_sync_confirmations.clerk_ids) as asked (id)
      left join user_sync.users as state on state.id = asked.id
    where asked.id is not null
  );
end
$$;


create or replace function public.user_sync_prune(older_than interval)
returns bigint
language plpgsql security definer
set search_path = ''
as $$
declare
  deleted bigint;
begin
  if user_sync_prune.older_than is null or user_sync_prune.older_than < interval '31 days' then
    raise exception 'the ledger must keep at least 31 days'
      using errcode = 'invalid_parameter_value',
        hint = 'Svix delivers for 28 hours, people replay events, and the health shows 30 days.';
  end if;
  delete from user_sync.events as event
  where event.recorded_at < now() - user_sync_prune.older_than
    -- The last event of each source stays, for the health.
    and event.number <> all (array(
      select last.number
      from unnest(enum_range(null::user_sync.source)) as named (source),
        unnest(enum_range(null::user_sync.outcome)) as kind (outcome),
        lateral (
          select newest.number from user_sync.events as newest
          where newest.source = named.source and newest.outcome = kind.outcome
          order by newest.recorded_at desc limit 1
        ) as last
    ));
  get diagnostics deleted = row_count;
  return deleted;
end
$$;


-- Supabase lets every API role execute a new function in public. A function with a comment is not
-- new: what an operator has granted since stays.
create or replace procedure user_sync.restrict_new_function(function_name regproc)
language plpgsql
set search_path = ''
as $$
begin
  if obj_description(function_name, 'pg_proc') is null then
    execute format('revoke execute on function %s from public, anon, authenticated', function_name);
    execute format('grant execute on function %s to service_role', function_name);
  end if;
end
$$;

call user_sync.restrict_new_function('public.user_sync_status');
call user_sync.restrict_new_function('public.user_sync_apply');
call user_sync.restrict_new_function('public.user_sync_reject');
call user_sync.restrict_new_function('public.user_sync_confirmations');
call user_sync.restrict_new_function('public.user_sync_prune');

comment on function public.user_sync_status is
  'Returns {status, looked_at}. status: missing, present, in_doubt (marked so, older than '
  'changed_at_ms, or not confirmed for max_age_seconds) or deleted. looked_at: when the look '
  'began, by the database''s clock; who then reads the user from Clerk passes it to '
  'user_sync_apply as read_at. Writes nothing.';
comment on function public.user_sync_apply is
  'The only write: receipt, order check, tombstone, state and row in one transaction. Returns '
  '{outcome, email, displaced}. outcome: created, updated, unchanged, stale, deleted or duplicate. '
  'displaced: the users who gave up a unique value. read_at: for a source that reads Clerk, a '
  'moment before that read began: looked_at of user_sync_status.';
comment on function public.user_sync_reject is
  'Records a signed event that can never be written. Once the cause is fixed, the event can be '
  'replayed.';
comment on function public.user_sync_confirmations is
  'For each of these Clerk ids: {has_row, confirmed_at, confirmed_by, in_doubt, deleted_at}. A row '
  'that no source has confirmed is in doubt.';
comment on function public.user_sync_prune is
  'Deletes the rows of the ledger that are older than this, at least 31 days, and returns how '
  'many. The last row of each source and outcome stays. The state keeps order and tombstones, so '
  'an event that is replayed later does no harm.';

-- Without a right on the schema nobody can call these anyway.
revoke execute on all routines in schema user_sync from public;

notify pgrst, 'reload schema';

commit;
