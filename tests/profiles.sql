-- A team's own table before user sync: one profile that was never synced, and another table that
-- references the profile's own key.

create table public.profiles (
  id uuid primary key default gen_random_uuid(),
  clerk_user_id text not null unique,
  email text not null unique,
  full_name text,
  avatar_url text,
  plan text not null default 'free'
);

create table public.posts (author uuid not null references public.profiles (id));

insert into public.profiles (clerk_user_id, email, plan)
values ('user_old', 'old@example.com', 'pro');

insert into public.posts select id from public.profiles;
