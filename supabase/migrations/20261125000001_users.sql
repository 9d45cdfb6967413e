-- The table public.users, and its mapping: the three functions through which the rules of the file
-- before this one reach it. Nothing else knows its columns.
--
-- To use a table of your own, run your own mapping in place of this file. There is a worked example
-- in ../examples/profiles.sql.
--
-- Runs as Supabase's `postgres` role. Running it again does no harm: an operator's own grants,
-- policies and mapping stay.

begin;

do $$
declare
  missing text;
begin
  if exists (
    select from pg_catalog.pg_proc
    where pronamespace = to_regnamespace('user_sync') and proname = 'write_row'
      and prosrc not like '%public.users%'
  ) then
    raise exception 'user sync is mapped to another table already'
      using hint = 'Leave this file out: it maps public.users.';
  end if;

  if to_regclass('public.users') is null then
    create table public.users (
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
      deleted_at timestamptz
    );
    alter table public.users enable row level security;
    -- Supabase grants all privileges on new tables in public to every API role.
    revoke all on public.users from anon, authenticated;
    grant select on public.users to authenticated, service_role;
    create policy "a signed-in user reads their own row" on public.users
      for select to authenticated
      using ((select auth.jwt() ->> 'sub') = id);
    comment on table public.users is
      'Clerk''s users by Clerk id. Only user_sync_apply writes here.';
    comment on column public.users.id is 'The Clerk id, user_…';
    comment on column public.users.updated_at is 'When Clerk last changed the user.';
    comment on column public.users.deleted_at is
      'Not null for a user who was deleted. The row stays so that foreign keys hold.';
  end if;

  -- There may have been a table of this name, with other columns.
  select string_agg(wanted, ', ' order by wanted) into missing
  from unnest(array['id', 'email', 'email_verified', 'phone_number', 'username', 'first_name',
    'last_name', 'image_url', 'external_id', 'public_metadata', 'banned', 'created_at',
    'updated_at', 'deleted_at']) as wanted
  where not exists (
    select from pg_catalog.pg_attribute
    where attrelid = 'public.users'::regclass and attname = wanted and not attisdropped
  );
  if missing is not null then
    raise exception 'public.users is another table: it lacks %', missing
      using hint = 'Map onto your own table instead: see supabase/examples/profiles.sql.';
  end if;

  -- The table may have been there before, as Supabase's SQL editor makes one: open to everybody.
  if not (select relrowsecurity from pg_catalog.pg_class where oid = 'public.users'::regclass)
    and (has_table_privilege('anon', 'public.users', 'select, insert, update, delete')
      or has_table_privilege('authenticated', 'public.users', 'insert, update, delete')) then
    raise exception 'public.users is open to everybody: row level security is off'
      using hint = 'Run first: alter table public.users enable row level security;';
  end if;
end
$$;


-- Only the functions of the file before this one call the mapping. They have set an empty search
-- path, so all names here are qualified.

create or replace function user_sync.row_exists(clerk_id text)
returns boolean
language plpgsql stable
as $$
begin
  return exists (select from public.users as stored where stored.id = row_exists.clerk_id);
end
$$;

comment on function user_sync.row_exists is 'Whether the user has a row.';


create or replace function user_sync.write_row(clerk_user jsonb)
returns jsonb
language plpgsql
as $$
declare
  primary_email constant jsonb := user_sync.primary_of(
    clerk_user -> 'email_addresses', clerk_user -> 'primary_email_address_id');
  primary_phone constant jsonb := user_sync.primary_of(
    clerk_user -> 'phone_numbers', clerk_user -> 'primary_phone_number_id');
  mapped public.users;
  is_changed boolean;
begin
  mapped.id := clerk_user ->> 'id';
  mapped.email := nullif(primary_email ->> 'email_address', '');
  mapped.email_verified := primary_email #>> '{verification,status}' = 'verified';
  mapped.phone_number := nullif(primary_phone ->> 'phone_number', '');
  mapped.username := nullif(clerk_user ->> 'username', '');
  mapped.first_name := nullif(clerk_user ->> 'first_name', '');
  mapped.last_name := nullif(clerk_user ->> 'last_name', '');
  mapped.image_url := nullif(clerk_user ->> 'image_url', '');
  mapped.external_id := nullif(clerk_user ->> 'external_id', '');
  mapped.public_metadata := nullif(clerk_user -> 'public_metadata', 'null');
  mapped.banned := clerk_user ->> 'banned';
  mapped.created_at := to_timestamp((clerk_user ->> 'created_at')::bigint / 1000.0);
  mapped.updated_at := to_timestamp((clerk_user ->> 'updated_at')::bigint / 1000.0);

  select (stored.email, stored.email_verified, stored.phone_number, stored.username,
      stored.first_name, stored.last_name, stored.image_url, stored.external_id,
      stored.public_metadata, stored.banned, stored.created_at, stored.updated_at)
    is distinct from
      (mapped.email, mapped.email_verified, mapped.phone_number, mapped.username,
      mapped.first_name, mapped.last_name, mapped.image_url, mapped.external_id,
      mapped.public_metadata, mapped.banned, mapped.created_at, mapped.updated_at)
  into is_changed
  from public.users as stored
  where stored.id = mapped.id;

  -- Null: there is no row.
  if is_changed is distinct from false then
    insert into public.users (id, email, email_verified, phone_number, username, first_name,
      last_name, image_url, external_id, public_metadata, banned, created_at, updated_at)
    values (mapped.id, mapped.email, mapped.email_verified, mapped.phone_number, mapped.username,
      mapped.first_name, mapped.last_name, mapped.image_url, mapped.external_id,
      mapped.public_metadata, mapped.banned, mapped.created_at, mapped.updated_at)
    on conflict (id) do update set (email, email_verified, phone_number, username, first_name,
      last_name, image_url, external_id, public_metadata, banned, created_at, updated_at)
    = (excluded.email, excluded.email_verified, excluded.phone_number, excluded.username,
      excluded.first_name, excluded.last_name, excluded.image_url, excluded.external_id,
      excluded.public_metadata, excluded.banned, excluded.created_at, excluded.updated_at);
  end if;

  return jsonb_build_object(
    'outcome', case is_changed
      when true then 'updated' when false then 'unchanged' else 'created' end,
    'email', mapped.email,
    'displaced', '[]'::jsonb);
end
$$;

comment on function user_sync.write_row is
  'Writes a user as Clerk has them. Returns {outcome: created | updated | unchanged, email, '
  'displaced}. displaced lists the users who gave up a unique value: none in this table. Only here '
  'stands what becomes of Clerk''s fields.';


create or replace function user_sync.erase_row(clerk_id text, deleted_at timestamptz)
returns void
language plpgsql
as $$
begin
  update public.users as stored set
    (email, email_verified, phone_number, username, first_name, last_name, image_url,
      external_id, public_metadata, banned, deleted_at)
    = (null, null, null, null, null, null, null,
      null, null, null, erase_row.deleted_at)
  where stored.id = erase_row.clerk_id;
end
$$;

comment on function user_sync.erase_row is
  'Takes the personal data out of the row of a deleted user. The row and its key stay. If there is '
  'no row, none is made.';

revoke execute on all routines in schema user_sync from public;

notify pgrst, 'reload schema';

commit;
