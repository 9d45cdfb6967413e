-- What an operator asks: do the webhooks arrive, and which users were lost where they did not? The
-- ledger alone knows, so this file holds for a table of users of any shape.
--
-- The functions call nothing of this.
--
-- Runs as Supabase's `postgres` role, and twice without harm.

-- When was a path last heard of, and what came by webhook?
create index if not exists user_sync_events_heard
  on public.user_sync_events (source, recorded_at);
-- Who was written for the first time?
create index if not exists user_sync_events_created
  on public.user_sync_events (recorded_at) where outcome = 'created';
-- Of whom has a webhook told?
create index if not exists user_sync_events_told
  on public.user_sync_events (user_id) where source = 'webhook' and outcome <> 'rejected';


create or replace function public.user_sync_health()
returns jsonb
language sql stable
set search_path = ''
set timezone = 'UTC'
as $$
  -- A rejected webhook is no sign of life: nothing was written.
  with path as (
    select source, place, (
      select max(event.recorded_at) from public.user_sync_events as event
      where event.source = named.source and event.outcome <> 'rejected'
    ) as last_event_at
    from unnest(array['webhook', 'page_load', 'reconcile'])
      with ordinality as named (source, place)
  ),
  last_webhook as (
    select last_event_at as at from path where source = 'webhook'
  ),
  -- Not materialized, so that the planner knows the moment and takes the index.
  day_ago as not materialized (
    select now() - interval '24 hours' as at
  ),
  webhooks as (
    select count(*) filter (where event.outcome <> 'rejected') as arrived,
      count(*) filter (where event.outcome = 'rejected') as rejected
    from public.user_sync_events as event, day_ago
    where event.source = 'webhook' and event.recorded_at > day_ago.at
  ),
  -- An orphan is a user of whom no webhook has told. Only after a minute: most who sign up are
  -- first written by their own page load, which overtakes Svix by a second. Svix tries again after
  -- 5 s, so by then two deliveries have failed. A webhook that comes later takes its user off the
  -- count.
  created as (
    select event.source, event.recorded_at,
      event.recorded_at <= now() - interval '1 minute' and not exists (
        select from public.user_sync_events as told
        where told.user_id = event.user_id
          and told.source = 'webhook' and told.outcome <> 'rejected'
      ) as is_orphan
    from public.user_sync_events as event
    where event.outcome = 'created' and event.recorded_at >= current_date - 29
  ),
  orphans as (
    select count(*) as lost,
      count(*) filter (where created.recorded_at > coalesce(last_webhook.at, '-infinity'))
        as lost_since_last_webhook
    from created, day_ago, last_webhook
    where created.is_orphan and created.recorded_at > day_ago.at
  ),
  day as (
    select current_date - ago as date,
      count(*) filter (where created.source = 'webhook') as webhook,
      count(*) filter (where created.source = 'page_load') as page_load,
      count(*) filter (where created.source = 'reconcile') as reconcile,
      count(*) filter (where created.is_orphan) as orphans_healed
    from generate_series(0, 29) as ago
      left join created on created.recorded_at::date = current_date - ago
    group by ago
  )
  select jsonb_build_object(
    'verdict', case
      when arrived = 0 and lost = 0 then 'quiet'
      when lost_since_last_webhook > 0 then 'silent'
      when lost > 0 then 'leaking'
      else 'working'
    end,
    'arrived', arrived,
    'lost', lost,
    'rejected', rejected,
    'lost_since_last_webhook', lost_since_last_webhook,
    'last_webhook_at', last_webhook.at,
    'paths', (
      select jsonb_agg(
        jsonb_build_object('source', source, 'last_event_at', last_event_at) order by place)
      from path
    ),
    'days', (
      select jsonb_agg(
        jsonb_build_object('day', date, 'webhook', webhook, 'page_load', page_load,
          'reconcile', reconcile, 'orphans_healed', orphans_healed) order by date)
      from day
    )
  )
  from webhooks, orphans, last_webhook
$$;

comment on function public.user_sync_health is
  'Do the webhooks arrive? working; leaking: some users were lost; silent: some were, and none has come since; quiet: no webhook arrived, and nobody was lost. Of the last 24 hours, with the last event of each path and 30 days in UTC. Users from before the webhooks count as lost on the day of their first page load.';


-- Supabase lets everybody execute a new function in public.
revoke execute on function public.user_sync_health from public, anon, authenticated;
grant execute on function public.user_sync_health to service_role;

notify pgrst, 'reload schema';
