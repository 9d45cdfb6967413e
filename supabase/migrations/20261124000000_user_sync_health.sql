-- Answers an operator's questions: do webhooks arrive, and how many users did they miss? It reads
-- only the ledger, so it works with any table of users.
--
-- The HTTP functions do not call anything here.
--
-- Runs as Supabase's `postgres` role. Running it again does no harm.

-- When did a source last write, and what came by webhook?
create index if not exists user_sync_events_by_source
  on public.user_sync_events (source, recorded_at);
-- Which users were created, and when?
create index if not exists user_sync_events_created
  on public.user_sync_events (recorded_at) where outcome = 'created';
-- Which users did a webhook report?
create index if not exists user_sync_events_by_webhook_user
  on public.user_sync_events (user_id) where source = 'webhook' and outcome <> 'rejected';


create or replace function public.user_sync_health()
returns jsonb
language sql stable
set search_path = ''
set timezone = 'UTC'
as $$
  -- A rejected webhook wrote nothing, so it does not count as an event of its source.
  with sources as (
    select source, ordinal, (
      select max(event.recorded_at) from public.user_sync_events as event
      where event.source = named.source and event.outcome <> 'rejected'
    ) as last_event_at
    from unnest(array['webhook', 'page_load', 'reconcile'])
      with ordinality as named (source, ordinal)
  ),
  last_webhook as (
    select last_event_at as at from sources where source = 'webhook'
  ),
  -- Not materialized: the planner then knows the time and uses the index.
  day_ago as not materialized (
    select now() - interval '24 hours' as at
  ),
  webhooks as (
    select count(*) filter (where event.outcome <> 'rejected') as arrived,
      count(*) filter (where event.outcome = 'rejected') as rejected
    from public.user_sync_events as event, day_ago
    where event.source = 'webhook' and event.recorded_at > day_ago.at
  ),
  -- An orphan is a user who was created at least a minute ago and whom no webhook has reported.
  -- Most new users are first written by their own page load, about a second before the webhook
  -- arrives, and Svix retries after 5 s: after a minute two deliveries have failed. A user stops
  -- counting as an orphan when a webhook for them arrives later.
  created as (
    select event.source, event.recorded_at,
      event.recorded_at <= now() - interval '1 minute' and not exists (
        select from public.user_sync_events as report
        where report.user_id = event.user_id
          and report.source = 'webhook' and report.outcome <> 'rejected'
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
    'sources', (
      select jsonb_agg(
        jsonb_build_object('source', source, 'last_event_at', last_event_at) order by ordinal)
      from sources
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
  'Do webhooks arrive? The verdict covers the last 24 hours. working: they do. leaking: some '
  'users were lost. silent: some users were lost and no webhook has arrived since. quiet: no '
  'webhook arrived and no user was lost. Also the last event of each source, and the last 30 days '
  'in UTC. Users who signed up before webhooks were set up count as lost on the day of their '
  'first page load.';


-- Supabase lets every API role execute a new function in public.
revoke execute on function public.user_sync_health from public, anon, authenticated;
grant execute on function public.user_sync_health to service_role;

notify pgrst, 'reload schema';
