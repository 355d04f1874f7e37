with

api as (

    select
        'dv360' as platform,
        account_id,
        snapshot_date,
        advertiser_id,
        advertiser_name,
        coalesce(entity_status = 'ENTITY_STATUS_ACTIVE', false) as is_active,
        currency_code,
        time_zone
    from {{ ref('stg_dv360__advertiser') }}

),

erf as (

    select
        'dv360' as platform,
        account_id,
        snapshot_date,
        advertiser_id,
        advertiser_name,
        coalesce(is_active, false) as is_active,
        currency_code,
        time_zone
    from {{ ref('stg_dv360_erf__advertiser') }}

),

dv360 as (

    {{ api_before_erf('api', 'erf') | indent(4) }}

),

cm360 as (

    select
        'cm360' as platform,
        account_id,
        snapshot_date,
        advertiser_id,
        advertiser_name,
        coalesce(status = 'APPROVED', false) as is_active,
        {{ no_text() }} as currency_code,
        {{ no_text() }} as time_zone
    from {{ ref('stg_cm360__advertiser') }}

)

select * from dv360
union all
select * from cm360
