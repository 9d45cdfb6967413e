-- The rules for writing a user, the same for every source, and the ledger of what each source did.
-- Only the file before this one names the table of users.
--
-- The HTTP functions call three functions of this file: user_sync_status to look, user_sync_apply
-- to write, and user_sync_reject to record an event that can never be written.
--
-- Runs as Supabase's `postgres` role. Running it again does no harm.

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
  'The ledger: one row for each write and each webhook. It knows which events were seen and when '
  'each source last wrote. No personal data.';
comment on column public.user_sync_events.event_id is
  'The svix-id of a webhook. Null for the other sources.';
comment on column public.user_sync_events.reason is 'Why the event was rejected.';

alter table public.user_sync_events enable row level security;

-- Supabase grants all privileges on new tables in public to every API role.
revoke all on public.user_sync_events from anon, authenticated;
revoke all on sequence public.user_sync_events_number_seq from anon, authenticated;
grant select, insert, update on public.user_sync_events to service_role;


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
      when stored.updated_at is null or stored.synced_at is null then 'in_doubt'
      when stored.updated_at < to_timestamp(changed_at_ms / 1000.0) then 'in_doubt'
      when stored.synced_at < now() - make_interval(secs => max_age_seconds) then 'in_doubt'
      else 'present'
    end
    from public.user_sync_find(clerk_id) as stored
  ), 'missing')
$$;

comment on function public.user_sync_status is
  'missing, present, in_doubt (marked so, older than changed_at_ms, or not confirmed for '
  'max_age_seconds) or deleted. Writes nothing.';


create or replace function public.user_sync_apply(
  clerk_user jsonb,
  source text,
  event_id text default null,
  event_type text default null,
  event_at_ms bigint default null
)
returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  clerk_id text := clerk_user ->> 'id';
  changed_at timestamptz := to_timestamp((clerk_user ->> 'updated_at')::bigint / 1000.0);
  stored record;
  answer jsonb := '{"outcome": "deleted", "email": null, "displaced": []}';
begin
  if clerk_id is null then
    raise exception 'the user has no id' using errcode = 'null_value_not_allowed';
  end if;

  -- Writes of one user wait for each other here, so each statement below sees everything that
  -- earlier writes committed.
  perform pg_advisory_xact_lock(hashtextextended(clerk_id, 0));

  if exists (
    select from public.user_sync_events as seen
    where seen.event_id = user_sync_apply.event_id and seen.outcome <> 'rejected'
  ) then
    return answer || '{"outcome": "duplicate"}';
  end if;

  select * into stored from public.user_sync_find(clerk_id);
  if stored.deleted_at is not null then
    null; -- A deletion is final: Clerk never reuses an id.
  elsif event_type = 'user.deleted' then
    perform public.user_sync_erase(
      clerk_id, coalesce(to_timestamp(event_at_ms / 1000.0), now()), source);
  elsif changed_at is null then
    raise exception 'the user has no updated_at' using errcode = 'null_value_not_allowed';
  elsif changed_at < stored.updated_at then
    answer := answer || jsonb_build_object('outcome', 'stale', 'email', stored.email);
  else
    answer := public.user_sync_store(clerk_user, source);
    -- Equal times apply, because Clerk can change a user twice in one millisecond. We cannot know
    -- which of two such versions is newer, so the row is in doubt until a read from Clerk returns
    -- what the row already has.
    if changed_at = stored.updated_at and (
      answer ->> 'outcome' = 'updated' or source = 'webhook' and stored.synced_at is null
    ) then
      perform public.user_sync_doubt(clerk_id);
    end if;
  end if;

  insert into public.user_sync_events (event_id, event_type, user_id, source, outcome)
  values (event_id, event_type, clerk_id, source, answer ->> 'outcome')
  on conflict on constraint user_sync_events_event_id_key do update
    set (event_type, user_id, outcome, reason, recorded_at)
    = (excluded.event_type, excluded.user_id, excluded.outcome, null, now());

  return answer;
end
$$;

comment on function public.user_sync_apply is
  'The only write: receipt, order check, tombstone and row in one transaction. Returns {outcome, '
  'email, displaced} as user_sync_store does. outcome can also be stale, deleted or duplicate.';


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
  'Records a signed event that can never be written. Once the cause is fixed, the event can be '
  'replayed.';


-- Supabase lets every API role execute a new function in public.
revoke execute on function
  public.user_sync_status, public.user_sync_apply, public.user_sync_reject
from public, anon, authenticated;
grant execute on function
  public.user_sync_status, public.user_sync_apply, public.user_sync_reject
to service_role;

notify pgrst, 'reload schema';
