with

source as (

    select * from {{ source('dv360', 'ad_group') }}
    {{ every_day('_snapshot_date') }}

),

renamed as (

    select
        -- keys
        _snapshot_date as snapshot_date,
        _account_id as account_id,
        ad_group_id,
        advertiser_id,
        line_item_id,

        -- attributes
        ad_group_format,
        display_name as ad_group_name,
        entity_status,
        name as resource_name,

        -- records and lists, as they came
        ad_group_inventory_control,
        bid_strategy,
        product_feed_data,
        targeting_expansion,

        -- adelt
        _unknown_fields as unknown_fields,
        _run_id as run_id,
        _loaded_at as loaded_at

    from source

)

select * from renamed
