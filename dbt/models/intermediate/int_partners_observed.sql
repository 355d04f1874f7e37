with

api as (

    select
        'dv360' as platform,
        account_id,
        snapshot_date,
        partner_id,
        partner_name,
        coalesce(entity_status = 'ENTITY_STATUS_ACTIVE', false) as is_active,
        currency_code
    from {{ ref('stg_dv360__partner') }}

),

erf as (

    select
        'dv360' as platform,
        account_id,
        snapshot_date,
        partner_id,
        partner_name,
        coalesce(is_active, false) as is_active,
        currency_code
    from {{ ref('stg_dv360_erf__partner') }}

),

dv360 as (

    {{ api_before_erf('api', 'erf') | indent(4) }}

)

select * from dv360
